#include "bench/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/clock.h"

extern char** environ;

namespace mobilevlm::bench {
namespace {

class Pipe {
 public:
  static Result<Pipe> Create() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return Fail("cannot make a pipe: {}", std::strerror(errno));
    return Pipe(ends[0], ends[1]);
  }
  Pipe(Pipe&& other) noexcept
      : read_(std::exchange(other.read_, -1)), write_(std::exchange(other.write_, -1)) {}
  Pipe& operator=(Pipe&&) = delete;
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  int read_end() const { return read_; }
  int write_end() const { return write_; }
  void CloseRead() { Close(read_); }
  void CloseWrite() { Close(write_); }

 private:
  Pipe(int read, int write) : read_(read), write_(write) {}
  static void Close(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  int read_, write_;
};

// Appends what there is to read; closes the pipe at its end.
void Drain(Pipe& pipe, std::string& text) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::read(pipe.read_end(), buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<size_t>(n));
  } else if (n == 0 || errno != EINTR) {
    pipe.CloseRead();
  }
}

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Result<pid_t> Spawn(const std::vector<std::string>& arguments, const Pipe& out, const Pipe& errors) {
  // POSIX lets posix_spawn succeed where the program cannot be started, and qemu's does.
  if (::access(arguments[0].c_str(), X_OK) != 0) {
    return Fail("{}: cannot start: {}", arguments[0], std::strerror(errno));
  }
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write_end(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors.write_end(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Fail("{}: cannot start: {}", arguments[0], std::strerror(error));
  return pid;
}

}  // namespace

Result<ProcessResult> RunProcess(const std::vector<std::string>& arguments) {
  MVLM_ASSIGN(Pipe out, Pipe::Create());
  MVLM_ASSIGN(Pipe errors, Pipe::Create());
  const engine::Stopwatch watch;
  MVLM_ASSIGN(const pid_t pid, Spawn(arguments, out, errors));
  out.CloseWrite();
  errors.CloseWrite();

  ProcessResult result;
  std::string complaints;
  while (out.read_end() >= 0 || errors.read_end() >= 0) {  // poll ignores negative descriptors
    pollfd ready[2] = {{out.read_end(), POLLIN, 0}, {errors.read_end(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) break;
    if (ready[0].revents != 0) {
      if (result.output.empty()) result.first_output_s = watch.Seconds();
      Drain(out, result.output);
    }
    if (ready[1].revents != 0) Drain(errors, complaints);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Fail("{} failed: {}", arguments[0], LastLine(complaints));
  }
  if (result.output.empty()) return Fail("{} printed nothing", arguments[0]);
  return result;
}

Result<std::string> OwnExecutable() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Fail("cannot tell this program's path: {}", error.message());
  return path.string();
}

}  // namespace mobilevlm::bench
