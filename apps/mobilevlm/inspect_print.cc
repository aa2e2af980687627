#include <nlohmann/json.hpp>

#include "base/parse_json.h"
#include "base/units.h"
#include "inspect_report.h"
#include "memory_json.h"

namespace mobilevlm::app {
namespace {

void AppendList(std::string& text, std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  text += fmt::format("{}\n", title);
  for (const std::string& line : lines) text += fmt::format("  {}\n", line);
}

}  // namespace

std::string ReportText(const InspectReport& report) {
  std::string text = fmt::format("{}: {}, {}, {}, {} tensors\n", report.path, report.kind, report.format,
                                 FormatBytes(report.bytes), report.tensors.size());
  for (const auto& [name, value] : report.config) text += fmt::format("  {:<20} {}\n", name, value);
  if (!report.tensors.empty()) text += "tensors (outermost size first)\n";
  for (const TensorLine& tensor : report.tensors) {
    text += fmt::format("  {:<52} {:<5} {:<20} {:>11}\n", tensor.name, tensor.type, ShapeText(tensor.shape),
                        tensor.bytes);
  }
  AppendList(text, "tensors that are stored and never needed", report.unused);
  AppendList(text, "unexpected tensors (ignored)", report.unexpected);
  AppendList(text, "unknown keys (ignored)", report.unknown_keys);
  AppendList(text, "PROBLEMS", report.problems);
  if (report.memory) {
    text += "expected memory\n";
    text += fmt::format("  {:<20} {}\n", "weights", FormatBytes(report.memory->weights));
    if (report.memory->kv_cache > 0) {
      text +=
          fmt::format("  {:<20} {} (f16, whole context)\n", "KV cache", FormatBytes(report.memory->kv_cache));
    }
    text += fmt::format("  {:<20} {}\n", "activations", FormatBytes(report.memory->activations));
  }
  return text;
}

std::string ReportJson(const InspectReport& report) {
  using Json = nlohmann::ordered_json;
  Json json = {
      {"file", report.path}, {"kind", report.kind}, {"format", report.format}, {"bytes", report.bytes}};
  json["config"] = Json::object();
  for (const auto& [name, value] : report.config) {
    // Numbers and lists stay what they are.
    const Json parsed = ParseJson<Json>(value, name).value_or(nullptr);
    json["config"][name] = parsed.is_number() || parsed.is_array() ? parsed : Json(value);
  }
  json["tensors"] = Json::array();
  for (const TensorLine& tensor : report.tensors) {
    json["tensors"].push_back(
        {{"name", tensor.name}, {"type", tensor.type}, {"shape", tensor.shape}, {"bytes", tensor.bytes}});
  }
  json["problems"] = report.problems;
  json["unused_tensors"] = report.unused;
  json["unexpected_tensors"] = report.unexpected;
  json["unknown_keys"] = report.unknown_keys;
  if (report.memory) json["memory"] = MemoryJson(*report.memory);
  // Names may be any bytes: broken UTF-8 is replaced.
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mobilevlm::app
