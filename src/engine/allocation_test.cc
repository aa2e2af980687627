// Decoding takes no memory: every buffer of a token is there from the token before.
//
// What takes memory is counted while `counting` is set: by the sanitizer's hooks where one owns the heap,
// else by operator new and aligned_alloc, replaced for this executable. Nothing else here takes any: all of
// the engine's own buffers come from these two.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "engine/decoder_state.h"
#include "engine/runtime.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOBILEVLM_SANITIZED_HEAP
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MOBILEVLM_SANITIZED_HEAP
#endif
#endif

namespace {

std::atomic<bool> counting{false};
std::atomic<size_t> allocations{0};

void CountOne() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

#ifdef MOBILEVLM_SANITIZED_HEAP

#include <sanitizer/allocator_interface.h>

namespace {

const int kHooks = __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t) { CountOne(); },
                                                             [](const volatile void*) {});

}  // namespace

#else

extern "C" void* aligned_alloc(size_t alignment, size_t size) noexcept {
  CountOne();
  void* p = nullptr;
  return posix_memalign(&p, alignment, size) == 0 ? p : nullptr;
}
void* operator new(size_t size) {
  CountOne();
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void* operator new(size_t size, std::align_val_t alignment) {
  if (void* p = aligned_alloc(static_cast<size_t>(alignment), size)) return p;
  throw std::bad_alloc();
}
// Not inlined, or gcc sees free() on what it knows to be from operator new, and warns.
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }

#endif

namespace mobilevlm::engine {
namespace {

// How often `work` takes memory.
template <class Work>
size_t Allocations(const Work& work) {
  allocations = 0;
  counting = true;
  work();
  counting = false;
  return allocations;
}

TEST(DecodingAllocation, IsSeen) {
#ifdef MOBILEVLM_SANITIZED_HEAP
  ASSERT_GT(kHooks, 0) << "the sanitizer took no hooks";
#endif
  std::vector<int> kept;
  AlignedBuffer<float> buffer;
  EXPECT_EQ(Allocations([&] { kept.reserve(100); }), 1u);
  EXPECT_EQ(Allocations([&] { buffer.Reserve(100); }), 1u);
}

struct Case {
  std::string directory;
  KvType kv;
  bool float_activations;
};

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.directory.substr(info.param.directory.rfind('/') + 1);
  std::erase(name, '-');
  const char* const kv[] = {"F32", "F16", "Q8"};
  return name + kv[static_cast<int>(info.param.kv)] + (info.param.float_activations ? "Float" : "");
}

// Float weights, packed weights, and packed weights with float activations; a head of 80.
class DecodingAllocates : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr size_t kWarmUp = 3, kSteps = 6;

  std::shared_ptr<Runtime> Load() {
    const auto directory = std::filesystem::path(MOBILEVLM_SOURCE_DIR) / GetParam().directory;
    auto runtime = Runtime::Load({.text = directory / "text.gguf",
                                  .mmproj = directory / "mmproj.gguf",
                                  .threads = 3,
                                  .kv = GetParam().kv,
                                  .float_activations = GetParam().float_activations});
    EXPECT_TRUE(runtime) << runtime.error().message;
    return runtime ? *runtime : nullptr;
  }
};

INSTANTIATE_TEST_SUITE_P(Models, DecodingAllocates,
                         ::testing::Values(Case{"tests/golden/nano-ldpv2", KvType::kF32, false},
                                           Case{"tests/golden/nano80-ldp", KvType::kF16, false},
                                           Case{"models/mini", KvType::kF16, false},
                                           Case{"models/mini", KvType::kQ8_0, false},
                                           Case{"models/mini", KvType::kF32, true}),
                         NameOf);

TEST_P(DecodingAllocates, NothingForOneConversation) {
  const std::shared_ptr<Runtime> runtime = Load();
  ASSERT_NE(runtime, nullptr);
  Result<DecoderState> state = DecoderState::Create(*runtime);
  ASSERT_TRUE(state);
  AlignedBuffer<float> buffer;
  const Mat<float> logits = buffer.ReserveMat(1, static_cast<size_t>(runtime->model().llm.vocab));
  const auto step = [&](size_t i) {
    const PromptPosition position = PromptPosition::Text(static_cast<int32_t>(3 + i));
    state->Read({&position, 1}, logits);
  };
  for (size_t i = 0; i < kWarmUp; ++i) step(i);
  for (size_t i = kWarmUp; i < kWarmUp + kSteps; ++i) {
    EXPECT_EQ(Allocations([&] { step(i); }), 0u) << "position " << i;
  }
}

TEST_P(DecodingAllocates, NothingForConversationsTogether) {
  const std::shared_ptr<Runtime> runtime = Load();
  ASSERT_NE(runtime, nullptr);
  constexpr size_t kStreams = 3;
  std::vector<DecoderState> states;
  for (size_t s = 0; s < kStreams; ++s) {
    Result<DecoderState> state = DecoderState::Create(*runtime);
    ASSERT_TRUE(state);
    states.push_back(std::move(*state));
  }
  AlignedBuffer<float> buffer;
  const Mat<float> logits = buffer.ReserveMat(kStreams, static_cast<size_t>(runtime->model().llm.vocab));
  std::vector<Reading> readings;
  const auto step = [&](size_t i) {
    std::array<PromptPosition, kStreams> positions;
    std::array<DecoderState::Piece, kStreams> pieces;
    for (size_t s = 0; s < kStreams; ++s) {
      positions[s] = PromptPosition::Text(static_cast<int32_t>(3 + i + s));
      pieces[s] = {&states[s], {&positions[s], 1}, true};
    }
    DecoderState::ReadTogether(runtime->pipeline(), pieces, readings, logits);
  };
  for (size_t i = 0; i < kWarmUp; ++i) step(i);
  for (size_t i = kWarmUp; i < kWarmUp + kSteps; ++i) {
    EXPECT_EQ(Allocations([&] { step(i); }), 0u) << "position " << i;
  }
}

}  // namespace
}  // namespace mobilevlm::engine
