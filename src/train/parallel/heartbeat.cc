#include "train/parallel/heartbeat.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

namespace mobilevlm::train {
namespace {

constexpr std::chrono::seconds kRound(1);
// Rank 0 ends after the others have had time to read what it published.
constexpr int kRoundsToRead = 3;
constexpr char kLostKey[] = "lost";

std::string BeatKey(int rank) { return fmt::format("beat/{}", rank); }
std::string ByeKey(int rank) { return fmt::format("bye/{}", rank); }

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

struct Heartbeat::State {
  ProcessEnvironment environment;
  int patience = 0;
  std::function<void(const std::string&)> on_lost;
  c10::intrusive_ptr<c10d::TCPStore> store;  // a connection of its own: the other one may be blocked

  std::atomic<int64_t> rounds{0};  // completed
  std::atomic<bool> leaving{false};

  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  std::optional<std::string> verdict;
  bool told = false;        // on_lost has returned
  std::string own_message;  // what this process published: no news to itself

  struct Peer {
    int64_t beats = 0;
    int silent_rounds = 0;
    bool gone = false;  // said goodbye
  };
  std::vector<Peer> peers;  // rank 0's view
  std::thread beating, watching;

  // False: stopped meanwhile.
  bool SleepOneRound() {
    std::unique_lock lock(mutex);
    return !changed.wait_for(lock, kRound, [&] { return stopped; });
  }
  template <class F>
  auto Locked(const F& body) {
    std::lock_guard lock(mutex);
    return body();
  }
  bool Lost() {
    return Locked([&] { return verdict.has_value(); });
  }
  void Conclude(const std::string& message) {
    {
      std::lock_guard lock(mutex);
      if (verdict || stopped || message == own_message) return;
      verdict = message;
    }
    changed.notify_all();
  }
  std::string Master() const {
    return fmt::format("{}:{}", environment.master_address, environment.master_port);
  }

  void PublishOnce(const std::string& message) { store->compareSet(kLostKey, {}, Bytes(message)); }

  void WatchPeers() {
    for (size_t r = 1; r < peers.size(); ++r) {
      Peer& peer = peers[r];
      const int rank = static_cast<int>(r);
      if (peer.gone) continue;
      const int64_t beats = store->add(BeatKey(rank), 0);
      peer.silent_rounds = beats == peer.beats ? peer.silent_rounds + 1 : 0;
      peer.beats = beats;
      if (store->check({ByeKey(rank)})) {
        peer.gone = true;
      } else if (peer.silent_rounds >= patience) {
        PublishOnce(fmt::format("process {} of {} is lost: no sign of life for {} s", rank, environment.size,
                                patience));
      }
    }
  }
  void Beat() {
    try {
      do {
        store->add(BeatKey(environment.rank), 1);
        if (environment.rank == 0) WatchPeers();
        if (store->check({kLostKey})) {
          const std::vector<uint8_t> message = store->get(kLostKey);
          Conclude({message.begin(), message.end()});
          if (environment.rank != 0 && Lost()) return;
        }
        ++rounds;
      } while (SleepOneRound());
    } catch (const std::exception&) {
      if (!leaving) Conclude(fmt::format("process 0 at {} is lost: it closed the connection", Master()));
    }
  }

  void Watch() {
    int64_t seen = rounds;
    int silent = 0;
    while (SleepOneRound()) {
      const int64_t now = rounds;
      silent = now == seen ? silent + 1 : 0;
      seen = now;
      if (silent >= patience && !leaving) {
        Conclude(fmt::format("process 0 at {} is lost: no answer for {} s", Master(), patience));
      }
      std::unique_lock lock(mutex);
      if (!verdict) continue;
      const std::string message = *verdict;
      lock.unlock();
      for (int i = 0; environment.rank == 0 && i < kRoundsToRead; ++i) SleepOneRound();
      if (on_lost) on_lost(message);
      lock.lock();
      told = true;
      lock.unlock();
      changed.notify_all();
      return;
    }
  }

  void Stop() {
    {
      std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
    if (beating.joinable()) beating.join();
    if (watching.joinable()) watching.join();
  }
};

Heartbeat::Heartbeat(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Heartbeat>> Heartbeat::Start(const ProcessEnvironment& environment, int patience,
                                                    std::function<void(const std::string&)> on_lost) {
  auto state = std::make_unique<State>();
  state->environment = environment;
  state->patience = patience;
  state->on_lost = std::move(on_lost);
  state->peers.resize(static_cast<size_t>(environment.size));
  try {
    c10d::TCPStoreOptions options;
    options.port = environment.master_port;
    options.waitWorkers = false;
    state->store = c10::make_intrusive<c10d::TCPStore>(environment.master_address, options);
  } catch (const std::exception& error) {
    return Fail("heartbeat: no connection to {}:{}", environment.master_address, environment.master_port);
  }
  State& started = *state;
  state->beating = std::thread([&started] { started.Beat(); });
  state->watching = std::thread([&started] { started.Watch(); });
  return std::unique_ptr<Heartbeat>(new Heartbeat(std::move(state)));
}

Heartbeat::~Heartbeat() {
  State& state = *state_;
  state.leaving = true;
  if (!state.Lost()) SayGoodbye();
  if (state.Lost()) AwaitVerdict();
  state.Stop();
}

void Heartbeat::SayGoodbye() {
  State& state = *state_;
  const bool failed = state.Locked([&] { return !state.own_message.empty(); });
  try {
    if (state.environment.rank != 0) {
      state.store->set(ByeKey(state.environment.rank), Bytes("bye"));
    } else if (failed) {
      for (int i = 0; i < kRoundsToRead; ++i) state.SleepOneRound();
    } else {
      // The beating thread watches meanwhile: whoever dies without a goodbye ends the waiting.
      const auto said = [&](int rank) { return state.store->check({ByeKey(rank)}); };
      for (int rank = 1; rank < state.environment.size && !state.Lost();) {
        said(rank) ? void(++rank) : void(state.SleepOneRound());
      }
    }
  } catch (const std::exception&) {  // the store is gone, which no longer matters
  }
}

void Heartbeat::Publish(const std::string& message) {
  State& state = *state_;
  if (state.Lost()) return;
  const std::string line =
      fmt::format("process {} of {} ended: {}", state.environment.rank, state.environment.size, message);
  state.Locked([&] { return state.own_message = line; });
  try {
    state.PublishOnce(line);
  } catch (const std::exception&) {  // the store is gone: everybody ends anyway
  }
}

bool Heartbeat::broken() const {
  return state_->Locked([&] { return state_->verdict.has_value() || !state_->own_message.empty(); });
}

std::optional<std::string> Heartbeat::AwaitVerdict() {
  std::unique_lock lock(state_->mutex);
  const std::chrono::seconds limit(state_->patience + 2 * kRoundsToRead);
  if (state_->changed.wait_for(lock, limit, [&] { return state_->verdict.has_value(); })) {
    state_->changed.wait(lock, [&] { return state_->told; });
  }
  return state_->verdict;
}

}  // namespace mobilevlm::train
