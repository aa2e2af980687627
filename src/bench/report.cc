#include "bench/report.h"

#include <nlohmann/json.hpp>

namespace mobilevlm::bench {
namespace {

double PerSecond(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

double Fraction(double reached, double ceiling) { return ceiling > 0 ? reached / ceiling : 0; }

// Median and spread; seconds.
nlohmann::ordered_json SeriesJson(const Series& series) {
  return {{"median_s", series.median()},
          {"least_s", series.least()},
          {"most_s", series.most()},
          {"repeats", series.seconds.size()}};
}

nlohmann::ordered_json DepthJson(const Report& report, const DepthSeries& series) {
  return {{"depth", series.depth},
          {"tokens", kDecodeTokens},
          {"tok_s", Report::DecodeTokS(series)},
          {"bytes_per_token", report.DecodeBytes(series)},
          {"fraction", report.DecodeFraction(series)},
          {"time", SeriesJson(series.decode)}};
}

nlohmann::ordered_json CeilingsJson(const costs::Ceilings& ceilings) {
  return {{"int8_gops", ceilings.int8_gops},     {"fp32_gflops", ceilings.fp32_gflops},
          {"read_gbs", ceilings.read_gbs},       {"int8_method", ceilings.int8_method},
          {"fp32_method", ceilings.fp32_method}, {"read_method", ceilings.read_method},
          {"threads", ceilings.threads},         {"failed_probe", ceilings.failed_probe}};
}

nlohmann::ordered_json CountsJson(const Report& r) {
  return {{"encode_operations", r.encode_operations.total()},
          {"encode_matrix_operations", r.encode_operations.matrices},
          {"encode_attention_operations", r.encode_operations.attention},
          {"encode_projector_operations", r.encode_operations.projector},
          {"prompt_operations", r.prompt_operations},
          {"prompt_positions", r.prompt_positions},
          {"decode_weight_bytes", r.decode_weight_bytes},
          {"kv_bytes_per_position", r.kv_bytes_per_position}};
}

nlohmann::ordered_json StagesJson(const Report& r) {
  nlohmann::ordered_json stages{{"load_s", r.model.load_ms / 1000},
                                {"preprocess", SeriesJson(r.latency.preprocess)},
                                {"tower", SeriesJson(r.latency.tower)},
                                {"projector", SeriesJson(r.latency.projector)},
                                {"encode", SeriesJson(r.latency.encode)},
                                {"prompt", SeriesJson(r.latency.prompt)},
                                {"decode", SeriesJson(r.latency.headline.decode)}};
  if (!r.first_token.seconds.empty()) stages["first_token"] = SeriesJson(r.first_token);
  return stages;
}

}  // namespace

double Report::prompt_tok_s() const { return PerSecond(prompt_positions, latency.prompt.median()); }

double Report::DecodeTokS(const DepthSeries& series) {
  return PerSecond(kDecodeTokens, series.decode.median());
}

double Report::EncodePeak() const {
  return IsQuantised(vision_type) ? ceilings.int8_gops : ceilings.fp32_gflops;
}

double Report::PromptPeak() const {
  return IsQuantised(text_type) ? ceilings.int8_gops : ceilings.fp32_gflops;
}

double Report::DecodeBytes(const DepthSeries& series) const {
  const double depth = series.depth + kDecodeTokens / 2.0;
  return static_cast<double>(decode_weight_bytes) + static_cast<double>(kv_bytes_per_position) * depth;
}

double Report::encode_fraction() const {
  return Fraction(PerSecond(encode_operations.total(), encode_s()) / kGiga, EncodePeak());
}

double Report::prompt_fraction() const {
  return Fraction(PerSecond(prompt_operations, latency.prompt.median()) / kGiga, PromptPeak());
}

double Report::DecodeFraction(const DepthSeries& series) const {
  return Fraction(DecodeTokS(series) * DecodeBytes(series) / kGiga, ceilings.read_gbs);
}

std::string ToJson(const Report& r) {
  nlohmann::ordered_json json{
      {"cpu", r.cpu},
      {"isa", r.model.isa},
      {"threads", r.model.threads},
      {"model",
       {{"text", r.model.text_path},
        {"mmproj", r.model.mmproj_path},
        {"text_type", DTypeName(r.text_type)},
        {"vision_type", DTypeName(r.vision_type)},
        {"file_bytes", r.file_bytes}}},
      {"ceilings", CeilingsJson(r.ceilings)},
      {"encode_s", r.encode_s()},
      {"prompt_tok_s", r.prompt_tok_s()},
      {"decode_tok_s", r.decode_tok_s()},
  };
  if (!r.first_token.seconds.empty()) json["first_token_s"] = r.first_token.median();
  if (r.peak_rss_bytes > 0) json["peak_rss_bytes"] = r.peak_rss_bytes;
  json["fractions"] = {
      {"encode", r.encode_fraction()}, {"prompt", r.prompt_fraction()}, {"decode", r.decode_fraction()}};
  json["counts"] = CountsJson(r);
  json["depths"] = nlohmann::ordered_json::array({DepthJson(r, r.latency.headline)});
  for (const DepthSeries& series : r.latency.deeper) json["depths"].push_back(DepthJson(r, series));
  json["stages"] = StagesJson(r);
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace mobilevlm::bench
