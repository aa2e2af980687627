#include "serve/fair_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mobilevlm::serve {
namespace {

std::string PopAll(FairQueue<std::string>& queue) {
  std::string order;
  while (const auto item = queue.Pop()) order += (order.empty() ? "" : " ") + *item;
  return order;
}

TEST(FairQueue, ClientsTakeTurns) {
  FairQueue<std::string> queue;
  for (const char* item : {"a1", "a2", "a3", "a4"}) queue.Push("a", item, 10);
  queue.Push("b", "b1", 10);
  queue.Push("c", "c1", 10);
  queue.Push("b", "b2", 10);
  EXPECT_EQ(queue.size(), 7u);
  EXPECT_EQ(PopAll(queue), "a1 b1 c1 a2 b2 a3 a4");
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, OneClientAloneIsServedInOrderAndRefusedAtTheBound) {
  FairQueue<std::string> queue;
  EXPECT_FALSE(queue.Push("a", "a1", 2));
  EXPECT_FALSE(queue.Push("a", "a2", 2));
  EXPECT_TRUE(queue.WouldRefuse("a", 2));
  EXPECT_EQ(queue.Push("a", "a3", 2), "a3");
  EXPECT_EQ(PopAll(queue), "a1 a2");
}

TEST(FairQueue, AFullQueueMakesRoomForThoseWithFew) {
  FairQueue<std::string> queue;
  for (const char* item : {"a1", "a2", "a3", "a4"}) queue.Push("a", item, 4);
  EXPECT_FALSE(queue.WouldRefuse("b", 4));
  EXPECT_EQ(queue.Push("b", "b1", 4), "a4");  // the newest of the greedy one
  EXPECT_EQ(queue.Push("b", "b2", 4), "a3");
  EXPECT_TRUE(queue.WouldRefuse("b", 4));  // now they are equal
  EXPECT_EQ(queue.Push("b", "b3", 4), "b3");
  EXPECT_EQ(queue.Push("c", "c1", 4), "a2");
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_EQ(PopAll(queue), "a1 b1 c1 b2");
}

TEST(FairQueue, WithoutPlacesNothingWaits) {
  FairQueue<std::string> queue;
  EXPECT_EQ(queue.Push("a", "a1", 0), "a1");
  EXPECT_FALSE(queue.Pop());
}

TEST(FairQueue, TakesOutWhatMatches) {
  FairQueue<std::string> queue;
  for (const char* item : {"a1", "a2"}) queue.Push("a", item, 10);
  queue.Push("b", "b1", 10);
  std::vector<std::string> taken;
  queue.Take([](const std::string& item) { return item != "a2"; },
             [&](std::string item) { taken.push_back(std::move(item)); });
  EXPECT_EQ(taken.size(), 2u);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(PopAll(queue), "a2");
}

}  // namespace
}  // namespace mobilevlm::serve
