// What every executable does with an exception that nobody expected.
#include "command_line.h"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <stdexcept>

namespace mobilevlm::app {
namespace {

int RunWork(const std::function<void()>& callback) {
  CLI::App app("A program", "program");
  app.add_subcommand("work")->callback(callback);
  char name[] = "program", work[] = "work";
  char* arguments[] = {name, work, nullptr};
  return RunCommandLine(app, 2, arguments, Status());
}

TEST(CommandLine, AnyExceptionIsOneLineAndTheCodeOfAnError) {
  EXPECT_EQ(RunWork([] {}), 0);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(RunWork([] { throw std::length_error("vector is\ntoo long"); }), kExitError);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "program: unexpected error: vector is too long\n");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(RunWork([] { throw std::bad_alloc(); }), kExitError);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "program: the system has no more memory\n");
}

}  // namespace
}  // namespace mobilevlm::app
