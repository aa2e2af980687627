#include "costs/ceilings.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/random.h"
#include "base/stopwatch.h"
#include "base/thread_pool.h"
#include "costs/probes.h"

namespace mobilevlm::costs {
namespace {

constexpr int kTries = 5;
constexpr double kTrySeconds = 0.04;
// Work items per thread and try; several, so that threads that start late or are disturbed even out.
constexpr size_t kItemsPerThread = 8;

double BestSeconds(const std::function<void()>& work) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const Stopwatch watch;
    work();
    const double seconds = watch.Seconds();
    if (i == 0 || seconds < best) best = seconds;
  }
  return best;
}

// Operations per second, 10^9.
double MeasureCompute(const ComputeProbe& probe, ThreadPool& pool) {
  constexpr uint64_t kCalibration = 1 << 16;
  const Stopwatch watch;
  probe.run(kCalibration);
  const double per_round = std::max(watch.Seconds(), 1e-9) / kCalibration;
  const auto rounds = std::max<uint64_t>(1, static_cast<uint64_t>(kTrySeconds / kItemsPerThread / per_round));
  const size_t items = kItemsPerThread * static_cast<size_t>(pool.threads());
  const double seconds = BestSeconds([&] { pool.ParallelFor(items, [&](size_t) { probe.run(rounds); }); });
  const double operations = static_cast<double>(items) * static_cast<double>(rounds) *
                            static_cast<double>(probe.operations_per_round);
  return operations / seconds / 1e9;
}

// Anonymous memory that is really there: every page is written, with contents of its own, so that no system
// below can merge equal pages into one that fits a cache.
class Buffer {
 public:
  static Result<Buffer> Create(size_t bytes) {
    void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return Fail("{} bytes for the memory probe: {}", bytes, std::strerror(errno));
    // The ceiling is the memory's, not the page table's. Only a wish; a kernel without it costs little.
    ::madvise(data, bytes, MADV_HUGEPAGE);
    Random random(1);
    auto* const words = static_cast<uint64_t*>(data);
    for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) words[i] = random.Next();
    return Buffer(data, bytes);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  const char* data() const { return static_cast<const char*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  Buffer(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  void* data_;
  size_t bytes_;
};

// Bytes per second, 10^9. Every thread reads a stretch of its own from front to back.
double MeasureRead(const ReadProbe& probe, const Buffer& buffer, ThreadPool& pool) {
  const size_t items = kItemsPerThread * static_cast<size_t>(pool.threads());
  const size_t bytes = buffer.bytes() / items / kReadStep * kReadStep;
  const double seconds = BestSeconds(
      [&] { pool.ParallelFor(items, [&](size_t i) { probe.run(buffer.data() + i * bytes, bytes); }); });
  return static_cast<double>(items * bytes) / seconds / 1e9;
}

void CheckRatio(const Probes& probes, Ceilings& ceilings) {
  ceilings.failed_probe.clear();
  const double ratio = ceilings.int8_gops / ceilings.fp32_gflops;
  if (RatioHolds(ratio, probes.least_ratio, probes.most_ratio)) return;
  ceilings.failed_probe =
      fmt::format("{} over {} should be {} to {}, found {:.2f}: was the machine busy?", ceilings.int8_method,
                  ceilings.fp32_method, probes.least_ratio, probes.most_ratio, ratio);
}

}  // namespace

bool RatioHolds(double ratio, double least, double most) {
  return least == 0 || (ratio >= least && ratio <= most);
}

Ceilings Ceilings::Best(const Ceilings& a, const Ceilings& b) {
  Ceilings best = a;
  best.fp32_gflops = std::max(a.fp32_gflops, b.fp32_gflops);
  best.int8_gops = std::max(a.int8_gops, b.int8_gops);
  best.read_gbs = std::max(a.read_gbs, b.read_gbs);
  CheckRatio(ChooseProbes(), best);
  return best;
}

Result<Ceilings> MeasureCeilings(int threads, uint64_t read_buffer) {
  const Probes probes = ChooseProbes();
  ThreadPool pool(threads);
  const size_t least = kReadStep * kItemsPerThread * static_cast<size_t>(pool.threads());
  MVLM_ASSIGN(const Buffer buffer, Buffer::Create(std::max<uint64_t>(read_buffer, least)));
  Ceilings ceilings;
  ceilings.threads = pool.threads();
  ceilings.fp32_method = probes.fp32.method;
  ceilings.int8_method = probes.int8.method;
  ceilings.read_method = probes.read.method;
  ceilings.fp32_gflops = MeasureCompute(probes.fp32, pool);
  ceilings.int8_gops = MeasureCompute(probes.int8, pool);
  ceilings.read_gbs = MeasureRead(probes.read, buffer, pool);
  CheckRatio(probes, ceilings);
  return ceilings;
}

double MeasureFp32Gflops(int threads) {
  ThreadPool pool(threads);
  return MeasureCompute(ChooseProbes().fp32, pool);
}

}  // namespace mobilevlm::costs
