#include "watched_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/stopwatch.h"
#include "commands.h"

namespace mobilevlm::app {
namespace {

constexpr double kShowSeconds = 15;
constexpr useconds_t kPauseMicroseconds = 50'000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The child's last complete line; progress that rewrites its line counts too.
std::string LastLine(int log) {
  std::array<char, 2048> buffer;
  const off_t size = ::lseek(log, 0, SEEK_END);
  const off_t begin = std::max<off_t>(0, size - static_cast<off_t>(buffer.size()));
  const ssize_t count = ::pread(log, buffer.data(), buffer.size(), begin);
  std::string text(buffer.data(), static_cast<size_t>(std::max<ssize_t>(0, count)));
  const size_t end = text.find_last_of("\r\n");
  if (end == std::string::npos) return {};
  text.resize(text.find_last_not_of("\r\n", end) + 1);
  return text.substr(text.find_last_of("\r\n") + 1);
}

Result<pid_t> Start(const std::vector<std::string>& arguments, int log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return Fail("{}: cannot start: {}", arguments[0], std::strerror(errno));
  if (pid > 0) return pid;
  // In the child: nothing but system calls.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int none = ::open("/dev/null", O_RDONLY);
  const bool ready = ::getppid() == parent && none >= 0 && ::dup2(none, STDIN_FILENO) >= 0 &&
                     ::dup2(log, STDOUT_FILENO) >= 0 && ::dup2(log, STDERR_FILENO) >= 0;
  if (ready) ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

Status RunWatched(const std::vector<std::string>& arguments, const std::string& log,
                  const std::string& label) {
  const Descriptor words(::open(log.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (words.get() < 0) return Fail("{}: cannot be written: {}", log, std::strerror(errno));
  InterruptFlag();  // a handler must be there before the child is
  MVLM_ASSIGN(const pid_t pid, Start(arguments, words.get()));
  int state = 0;
  bool told = false;
  std::string shown;
  Stopwatch since;
  for (;;) {
    const pid_t ended = ::waitpid(pid, &state, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) return Fail("{}: lost: {}", arguments[0], std::strerror(errno));
    if (Interrupted() && !told) {
      ::kill(pid, SIGTERM);
      told = true;
    }
    if (since.Seconds() > kShowSeconds) {
      const std::string line = LastLine(words.get());
      const bool validation = line.find(" {") != std::string::npos;  // its numbers, which the log keeps
      if (line != shown && !validation) fmt::print(stderr, "{}: {}\n", label, line);
      shown = line;
      since = {};
    }
    ::usleep(kPauseMicroseconds);
  }
  if (Interrupted()) return Fail("{}: interrupted; the same command continues", label);
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  if (WIFSIGNALED(state))
    return Fail("{}: {} was ended by signal {}; see {}", label, arguments[0], WTERMSIG(state), log);
  return Fail("{}: {}; see {}", label, LastLine(words.get()), log);
}

}  // namespace mobilevlm::app
