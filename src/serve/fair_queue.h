// A bounded queue in which clients take turns: however many requests one of them has waiting, another one's
// first comes after at most one of each client's. When it is full, room is made for a client with few by
// giving up the newest of the one with most. The bound is the caller's at every call.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <utility>

namespace mobilevlm::serve {

template <class T>
class FairQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Whether Push would refuse this client's item now.
  bool WouldRefuse(const std::string& client, size_t capacity) const {
    if (size_ < capacity) return false;
    const auto [most, mine] = MostAndOwn(client);
    return most <= mine + 1;
  }

  // What was given up to make room: nothing, another item, or this one.
  std::optional<T> Push(const std::string& client, T item, size_t capacity) {
    std::optional<T> given_up;
    if (WouldRefuse(client, capacity)) return item;
    if (size_ >= capacity) {
      const auto most =
          std::max_element(clients_.begin(), clients_.end(),
                           [](const Client& a, const Client& b) { return a.items.size() < b.items.size(); });
      given_up = std::move(most->items.back());
      most->items.pop_back();
      --size_;
    }
    auto own = Find(client);
    if (own == clients_.end()) own = clients_.insert(clients_.end(), Client{client, {}});
    own->items.push_back(std::move(item));
    ++size_;
    return given_up;
  }

  // The next item of the client whose turn it is.
  std::optional<T> Pop() {
    if (clients_.empty()) return std::nullopt;
    Client client = std::move(clients_.front());
    clients_.pop_front();
    T item = std::move(client.items.front());
    client.items.pop_front();
    --size_;
    if (!client.items.empty()) clients_.push_back(std::move(client));
    return item;
  }

  // Takes out all items that match, in no particular order.
  template <class Predicate, class Taker>
  void Take(const Predicate& matches, const Taker& take) {
    for (auto client = clients_.begin(); client != clients_.end();) {
      for (auto item = client->items.begin(); item != client->items.end();) {
        if (!matches(*item)) {
          ++item;
          continue;
        }
        take(std::move(*item));
        item = client->items.erase(item);
        --size_;
      }
      client = client->items.empty() ? clients_.erase(client) : std::next(client);
    }
  }

 private:
  struct Client {
    std::string name;
    std::deque<T> items;
  };
  std::pair<size_t, size_t> MostAndOwn(const std::string& client) const {
    size_t most = 0, own = 0;
    for (const Client& c : clients_) {
      most = std::max(most, c.items.size());
      if (c.name == client) own = c.items.size();
    }
    return {most, own};
  }
  auto Find(const std::string& client) {
    return std::find_if(clients_.begin(), clients_.end(), [&](const Client& c) { return c.name == client; });
  }

  size_t size_ = 0;
  std::list<Client> clients_;  // those with items, in the order of their turns
};

}  // namespace mobilevlm::serve
