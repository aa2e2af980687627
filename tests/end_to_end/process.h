// Runs the executable under test as a user would: a process of its own, its output captured.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace mobilevlm::golden {

// The executable runs in an emulator of its CPU.
inline constexpr bool kEmulated = MOBILEVLM_EMULATOR[0] != '\0';

struct ProcessResult {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
  std::string out, err;

  // Lines of standard error.
  size_t error_lines() const { return static_cast<size_t>(std::count(err.begin(), err.end(), '\n')); }
};

struct ProcessOptions {
  std::string input = {};                     // what standard input gives
  std::vector<std::string> environment = {};  // NAME=value, added
  bool interrupt = false;                     // SIGINT as soon as the first byte of output or error arrives
  uint64_t address_space = 0;                 // bytes the process may map; 0: as much as it likes
  uint64_t file_size = 0;                     // bytes a file may have before writing fails; 0: no limit
  std::string interrupt_when = {};  // a signal as soon as this file, or one below this directory, grows
  int interrupt_signal = SIGINT;    // which
};

class Process {
 public:
  static ProcessResult Run(const std::vector<std::string>& arguments, const ProcessOptions& options = {}) {
    Process process(arguments, options);
    return process.Wait(options);
  }

 private:
  static constexpr size_t kFiller = 3500;

  Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
    int in[2], out[2], err[2];
    EXPECT_EQ(::pipe(in) | ::pipe(out) | ::pipe(err), 0);
    if (options.interrupt) {
      // A small pipe, nearly full: a talkative child must wait for its reader, so the signal always finds it
      // at work.
      ::fcntl(out[1], F_SETPIPE_SZ, 4096);
      EXPECT_EQ(::write(out[1], std::string(kFiller, 'x').data(), kFiller), static_cast<ssize_t>(kFiller));
    }
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      for (const int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) ::close(fd);
      if (options.address_space != 0) {
        const rlimit limit{options.address_space, options.address_space};
        ::setrlimit(RLIMIT_AS, &limit);
      }
      if (options.file_size != 0) {
        const rlimit limit{options.file_size, options.file_size};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        ::signal(SIGXFSZ, SIG_IGN);  // stays ignored in the child: writing fails instead
      }
      for (const std::string& variable : options.environment) ::putenv(const_cast<char*>(variable.c_str()));
      std::vector<char*> argv;
      if (kEmulated) argv.push_back(const_cast<char*>(MOBILEVLM_EMULATOR));
      argv.push_back(const_cast<char*>(MOBILEVLM_EXECUTABLE));
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    ::close(err[1]);
    in_ = in[1];
    out_ = out[0];
    err_ = err[0];
  }

  ProcessResult Wait(const ProcessOptions& options) {
    ::signal(SIGPIPE, SIG_IGN);  // the child may not read its input
    ProcessResult result;
    size_t sent = 0;
    if (options.interrupt) {
      // The child may need its input to have something to say; a pipe holds it.
      EXPECT_EQ(::write(in_, options.input.data(), options.input.size()),
                static_cast<ssize_t>(options.input.size()));
      sent = options.input.size();
      InterruptWhenItSpeaks();
    }
    if (sent == options.input.size()) CloseInput();
    if (!options.interrupt_when.empty()) InterruptWhenItWrites(options);
    while (out_ >= 0 || err_ >= 0) {
      pollfd fds[3] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {in_, POLLOUT, 0}};
      ::poll(fds, 3, -1);
      if (fds[0].revents != 0) Read(out_, result.out);
      if (fds[1].revents != 0) Read(err_, result.err);
      if (fds[2].revents != 0) {
        const size_t count = std::min<size_t>(options.input.size() - sent, 4096);
        const ssize_t n = ::write(in_, options.input.data() + sent, count);
        if (n > 0) sent += static_cast<size_t>(n);
        if (n <= 0 || sent == options.input.size()) CloseInput();
      }
    }
    if (options.interrupt) result.out.erase(0, kFiller);
    CloseInput();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    return result;
  }

  // Waits for the first byte of output, without taking it.
  void InterruptWhenItSpeaks() {
    int out = 0, err = 0;
    for (int i = 0; i < 20'000 && out <= static_cast<int>(kFiller) && err == 0; ++i) {
      ::usleep(1000);
      ::ioctl(out_, FIONREAD, &out);
      ::ioctl(err_, FIONREAD, &err);
    }
    ::kill(pid_, SIGINT);
    ::usleep(100'000);  // the signal has arrived before the pipe is drained
  }

  // Whether the file, or any file below the directory, holds anything.
  static bool HoldsSomething(const std::string& path) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(path, ignored))
      return std::filesystem::file_size(path, ignored) + 1 > 1;
    std::filesystem::recursive_directory_iterator it(path, ignored);
    for (; it != std::filesystem::recursive_directory_iterator(); it.increment(ignored)) {
      std::error_code unknown;
      if (it->file_size(unknown) + 1 > 1) return true;  // an error is the largest number
    }
    return false;
  }
  void InterruptWhenItWrites(const ProcessOptions& options) {
    for (int i = 0; i < 20'000 && !HoldsSomething(options.interrupt_when); ++i) ::usleep(1000);
    ::kill(pid_, options.interrupt_signal);
  }

  void CloseInput() {
    if (in_ >= 0) ::close(in_);
    in_ = -1;
  }
  static void Read(int& fd, std::string& text) {
    char buffer[1024];
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
    } else {
      ::close(fd);
      fd = -1;
    }
  }

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
};

}  // namespace mobilevlm::golden
