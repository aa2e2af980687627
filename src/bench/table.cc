// ToTable of report.h.
#include <algorithm>

#include "bench/report.h"

namespace mobilevlm::bench {
namespace {

constexpr double kMega = 1e6;

std::string Line(std::string_view what, std::string_view median, std::string_view spread,
                 std::string_view share) {
  std::string line = fmt::format("{:<26}{:>14}   {:<22}{}", what, median, spread, share);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string SecondsLine(std::string_view what, const Series& series, std::string_view share = {}) {
  return Line(what, fmt::format("{:.3f} s", series.median()),
              fmt::format("{:.3f} to {:.3f}", series.least(), series.most()), share);
}

// `tokens` per repeat of the series.
std::string RateLine(std::string_view what, const Series& series, double tokens, std::string_view share) {
  return Line(what, fmt::format("{:.1f} tok/s", tokens / series.median()),
              fmt::format("{:.1f} to {:.1f}", tokens / series.most(), tokens / series.least()), share);
}

std::string Share(double fraction, std::string_view of) { return fmt::format("{:.2f} of {}", fraction, of); }

std::string Header(const Report& r) {
  std::string text = fmt::format("{}, {} threads, kernels {}\n", r.cpu, r.model.threads, r.model.isa);
  text +=
      fmt::format("{} ({}), {} ({}), {:.0f} MB together\n", r.model.text_path, DTypeName(r.text_type),
                  r.model.mmproj_path, DTypeName(r.vision_type), static_cast<double>(r.file_bytes) / kMega);
  const costs::Ceilings& c = r.ceilings;
  text += fmt::format("ceilings: int8 {:.0f} GOP/s ({}), fp32 {:.0f} GFLOP/s ({}), read {:.1f} GB/s ({})\n",
                      c.int8_gops, c.int8_method, c.fp32_gflops, c.fp32_method, c.read_gbs, c.read_method);
  if (!c.failed_probe.empty()) text += fmt::format("FAILED PROBE: {}\n", c.failed_probe);
  return text + "\n";
}

std::string DecodeLine(const Report& r, const DepthSeries& series) {
  return RateLine(fmt::format("decode at {} to {}", series.depth, series.depth + kDecodeTokens),
                  series.decode, kDecodeTokens, Share(r.DecodeFraction(series), "read"));
}

// Where a first answer's time goes, as the steps of this process took it.
std::string Breakdown(const Report& r) {
  const std::pair<std::string_view, double> parts[] = {
      {"load", r.model.load_ms / 1000},      {"picture", r.latency.preprocess.median()},
      {"tower", r.latency.tower.median()},   {"projector", r.latency.projector.median()},
      {"prompt", r.latency.prompt.median()},
  };
  double total = 0;
  for (const auto& [name, seconds] : parts) total += seconds;
  std::string text = "\nuntil the first token:";
  for (const auto& [name, seconds] : parts) {
    text += fmt::format(" {} {:.0f} %,", name, 100 * seconds / std::max(total, 1e-9));
  }
  text.back() = '\n';
  return text;
}

}  // namespace

std::string ToTable(const Report& r) {
  const std::string_view encode_unit = IsQuantised(r.vision_type) ? "int8" : "fp32";
  const std::string_view prompt_unit = IsQuantised(r.text_type) ? "int8" : "fp32";
  std::string text = Header(r) + Line("", "median", "least to most", "of ceiling");
  text += SecondsLine("image encode", r.latency.encode, Share(r.encode_fraction(), encode_unit));
  text += SecondsLine("  vision tower", r.latency.tower);
  text += SecondsLine("  projector", r.latency.projector);
  text += RateLine(fmt::format("prompt of {}", r.prompt_positions), r.latency.prompt, r.prompt_positions,
                   Share(r.prompt_fraction(), prompt_unit));
  text += DecodeLine(r, r.latency.headline);
  for (const DepthSeries& series : r.latency.deeper) text += DecodeLine(r, series);
  if (!r.first_token.seconds.empty()) text += SecondsLine("process to first token", r.first_token);
  if (r.peak_rss_bytes > 0) {
    text +=
        Line("peak resident memory", fmt::format("{:.3f} GB", static_cast<double>(r.peak_rss_bytes) / kGiga),
             "", fmt::format("files {:.3f} GB", static_cast<double>(r.file_bytes) / kGiga));
  }
  return text + Breakdown(r);
}

}  // namespace mobilevlm::bench
