#include "serve/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <charconv>
#include <mutex>

#include "base/read_file.h"

namespace mobilevlm::serve {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

const Buckets kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
const Buckets kTokensPerSecond = {0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

Histogram& AddHistogram(prometheus::Registry& registry, const char* name, const char* help,
                        const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}
Gauge& AddGauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}
Counter& AddCounter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

// Counters that the engine keeps itself.
void CountTo(Counter& counter, uint64_t total) {
  if (const double more = static_cast<double>(total) - counter.Value(); more > 0) counter.Increment(more);
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  prometheus::Family<Counter>& responses =
      prometheus::BuildCounter().Name("mobilevlm_responses_total").Help("HTTP responses").Register(registry);
  prometheus::Family<Counter>& ends = prometheus::BuildCounter()
                                          .Name("mobilevlm_requests_total")
                                          .Help("Requests to the model by how they ended")
                                          .Register(registry);
  prometheus::Family<Gauge>& memory =
      prometheus::BuildGauge().Name("mobilevlm_memory_bytes").Help("Memory in use").Register(registry);

  Gauge& queue = AddGauge(registry, "mobilevlm_queue_length", "Requests that wait for a stream");
  Gauge& streams = AddGauge(registry, "mobilevlm_streams", "Requests that are being answered");
  Gauge& free = AddGauge(registry, "mobilevlm_streams_free", "Streams without a request");
  Histogram& queue_time =
      AddHistogram(registry, "mobilevlm_queue_seconds", "From submission to the start", kSeconds);
  Histogram& first_token = AddHistogram(registry, "mobilevlm_time_to_first_token_seconds",
                                        "From submission to the first token", kSeconds);
  Histogram& image = AddHistogram(registry, "mobilevlm_image_seconds",
                                  "From the start until all pictures of a request are encoded", kSeconds);
  Histogram& duration =
      AddHistogram(registry, "mobilevlm_request_seconds", "From submission to the end", kSeconds);
  Histogram& speed = AddHistogram(registry, "mobilevlm_tokens_per_second",
                                  "Tokens after the first per second of one request", kTokensPerSecond);
  Counter& tokens = AddCounter(registry, "mobilevlm_generated_tokens_total", "Tokens generated");
  Counter& positions = AddCounter(registry, "mobilevlm_prompt_positions_total", "Positions of prompts read");
  Counter& reused =
      AddCounter(registry, "mobilevlm_prompt_positions_reused_total", "Positions found in a cache");
  Counter& pictures = AddCounter(registry, "mobilevlm_pictures_encoded_total", "Pictures through the tower");
  Counter& pictures_reused =
      AddCounter(registry, "mobilevlm_pictures_reused_total", "Pictures found in the cache");
  std::mutex render;  // totals of the engine are brought over by one at a time
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::CountResponse(const std::string& path, int status) {
  families_->responses.Add({{"path", path}, {"status", std::to_string(status)}}).Increment();
}

void Metrics::CountEnd(const Ticket& ticket, Outcome outcome) {
  static constexpr const char* kNames[] = {"answered", "failed", "given_up", "expired", "cancelled"};
  families_->ends.Add({{"outcome", kNames[static_cast<size_t>(outcome)]}}).Increment();
  const Ticket::Times& times = ticket.times();
  if (times.started != Clock::time_point()) {
    families_->queue_time.Observe(SecondsBetween(times.submitted, times.started));
  }
  if (times.first_token != Clock::time_point()) {
    families_->first_token.Observe(SecondsBetween(times.submitted, times.first_token));
  }
  if (outcome != Outcome::kAnswered) return;
  families_->duration.Observe(SecondsBetween(times.submitted, times.ended));
  const Stats& stats = (*ticket.answer())->stats;
  if (stats.image_ms > 0) families_->image.Observe(stats.image_ms / 1000);
  if (stats.tokens_per_second() > 0) families_->speed.Observe(stats.tokens_per_second());
}

std::string Metrics::Render(const BatchStats& stats, size_t queue_length, int free_streams) {
  Families& f = *families_;
  const std::lock_guard lock(f.render);
  f.queue.Set(static_cast<double>(queue_length));
  f.streams.Set(stats.streams);
  f.free.Set(free_streams);
  f.memory.Add({{"kind", "resident"}}).Set(static_cast<double>(ResidentBytes()));
  f.memory.Add({{"kind", "kv_cache"}}).Set(static_cast<double>(stats.kv_cache_bytes));
  f.memory.Add({{"kind", "picture_cache"}}).Set(static_cast<double>(stats.picture_cache_bytes));
  CountTo(f.tokens, stats.tokens_generated);
  CountTo(f.positions, stats.positions_read);
  CountTo(f.reused, stats.positions_reused);
  CountTo(f.pictures, stats.pictures_encoded);
  CountTo(f.pictures_reused, stats.pictures_reused);
  return prometheus::TextSerializer().Serialize(f.registry.Collect());
}

uint64_t ResidentBytes() {
  // "size resident shared ..." in pages.
  const std::string text = ReadFile("/proc/self/statm", 4096).value_or("");
  const size_t space = text.find(' ');
  uint64_t pages = 0;
  if (space != std::string::npos) std::from_chars(text.data() + space + 1, text.data() + text.size(), pages);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace mobilevlm::serve
