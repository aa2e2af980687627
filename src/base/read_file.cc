#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mobilevlm {

Result<std::string> ReadFile(const std::string& path, uint64_t limit) {
  const bool standard_input = path == "-";
  const int fd = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Fail("{}: cannot open: {}", path, std::strerror(errno));
  struct Closer {
    int fd;
    bool keep_open;
    ~Closer() {
      if (!keep_open) ::close(fd);
    }
  } closer{fd, standard_input};

  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
    return Fail("{}: wanted a file, found a directory", path);

  std::string bytes;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail("{}: cannot read: {}", path, std::strerror(errno));
    if (n == 0) return bytes;
    if (bytes.size() + static_cast<size_t>(n) > limit)
      return Fail("{}: wanted at most {} bytes, found more", path, limit);
    bytes.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace mobilevlm
