// A small random generator with the same stream on every platform and standard library (std::
// distributions are not portable). SplitMix64 (Steele, Lea, Flood 2014): any 64-bit seed is good.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace mobilevlm {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Uniform in [0, n); n > 0. The bias of the plain product is below 2^-32 for n < 2^32.
  uint64_t Below(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(Next()) * n) >> 64);
  }
  // Uniform in [low, high], both included.
  int Between(int low, int high) {
    return low + static_cast<int>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  bool Chance(double probability) { return Uniform() < probability; }
  // Standard normal (Box-Muller).
  double Normal() {
    const double u = 1.0 - Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * Uniform());
  }
  template <class T>
  void Shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }
  // An independent stream for part `index` of a work that this generator's seed names.
  static Random Stream(uint64_t seed, uint64_t index) {
    Random mixer(seed ^ (index * 0xD1342543DE82EF95ull + 0x2545F4914F6CDD1Dull));
    return Random(mixer.Next());
  }

  // The whole state; Random(state()) continues the stream (used by exact resume).
  uint64_t state() const { return state_; }

 private:
  uint64_t state_;
};

}  // namespace mobilevlm
