// Checkpoints that are whole or not there: a full disk, a kill in the middle, the number that is kept.
#include "train/runlog/checkpoint_directory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"

namespace mobilevlm::train {
namespace {

namespace fs = std::filesystem;

class CheckpointDirectory : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "mobilevlm-checkpoint-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern + "/stage";
  }
  void TearDown() override { fs::remove_all(fs::path(directory_).parent_path()); }

  Status Save(int64_t step, int64_t keep, size_t bytes = 10) {
    return SaveCheckpoint(directory_, step, keep, [&](const std::string& path) -> Status {
      MVLM_TRY(WriteFileAtomically(path + "/weights", std::string(bytes, 'w')));
      return WriteState(path, {{"step", step}});
    });
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string directory_;
};

TEST_F(CheckpointDirectory, TheNewestIsFoundAndOldOnesGo) {
  EXPECT_FALSE(LatestCheckpoint(directory_).has_value());
  for (const int64_t step : {5, 10, 100, 20}) ASSERT_TRUE(Save(step, 2).has_value());
  EXPECT_EQ(Names(), (std::vector<std::string>{"checkpoint-00000020", "checkpoint-00000100", "latest"}));
  const auto latest = LatestCheckpoint(directory_);
  ASSERT_TRUE(latest.has_value());
  EXPECT_EQ(latest->step, 100);
  const auto state = ReadState(latest->path);
  ASSERT_TRUE(state.has_value()) << state.error().message;
  EXPECT_EQ((*state)["step"], 100);
  EXPECT_TRUE(fs::exists(directory_ + "/latest/state.json"));
}

TEST_F(CheckpointDirectory, AFullDiskKeepsThePreviousOne) {
  ASSERT_TRUE(Save(1, 1).has_value());
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // the write then fails, as on a full disk
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = Save(2, 1, 5000);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("File too large"), std::string::npos) << status.error().message;
  EXPECT_EQ(Names(), (std::vector<std::string>{"checkpoint-00000001", "latest"}));
  ASSERT_TRUE(Save(2, 1).has_value());
  EXPECT_EQ(LatestCheckpoint(directory_)->step, 2);
}

TEST_F(CheckpointDirectory, WhatAKillLeftIsNoCheckpointAndIsClearedAway) {
  ASSERT_TRUE(Save(1, 1).has_value());
  fs::create_directories(directory_ + "/.unfinished-checkpoint-00000002");
  fs::create_directories(directory_ + "/checkpoint-00000003");  // without state.json
  std::ofstream(directory_ + "/checkpoint-00000003/optimizer") << "of a removal that was not finished";
  EXPECT_EQ(LatestCheckpoint(directory_)->step, 1);
  // A checkpoint of that step is written as if there were nothing.
  ASSERT_TRUE(Save(3, 1).has_value());
  EXPECT_EQ(Names(), (std::vector<std::string>{"checkpoint-00000003", "latest"}));
  EXPECT_FALSE(fs::exists(directory_ + "/latest/optimizer"));
  EXPECT_TRUE(fs::exists(directory_ + "/latest/weights"));
  EXPECT_TRUE(ReadState(directory_ + "/latest").has_value());
}

// A removal ends in the middle, here because a directory inside lies too deep for the files that may be open.
TEST_F(CheckpointDirectory, WhatIsHalfRemovedHasNoCheckpointsName) {
  constexpr int kDepth = 64, kOpen = 24;
  ASSERT_TRUE(Save(1, 1).has_value());
  std::string deep = directory_ + "/checkpoint-00000001";
  for (int i = 0; i < kDepth; ++i) deep += "/d";
  fs::create_directories(deep);

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest = ::dup(STDERR_FILENO);
  ASSERT_GE(lowest, 0);
  ::close(lowest);
  const rlimit few{static_cast<rlim_t>(lowest) + kOpen, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Status status = Save(2, 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(status.has_value()) << status.error().message;
  ASSERT_EQ(Names(),
            (std::vector<std::string>{".unfinished-checkpoint-00000001", "checkpoint-00000002", "latest"}));
  EXPECT_EQ(LatestCheckpoint(directory_)->step, 2);

  ASSERT_TRUE(Save(3, 2).has_value());
  EXPECT_EQ(Names(), (std::vector<std::string>{"checkpoint-00000002", "checkpoint-00000003", "latest"}));
}

TEST_F(CheckpointDirectory, RubbishInStateIsAnError) {
  ASSERT_TRUE(Save(1, 1).has_value());
  for (const char* text : {"", "[]", "{\"step\": -1}", "{\"step\": \"1\"}"}) {
    std::ofstream(directory_ + "/checkpoint-00000001/state.json") << text;
    EXPECT_FALSE(ReadState(directory_ + "/checkpoint-00000001").has_value()) << text;
  }
}

}  // namespace
}  // namespace mobilevlm::train
