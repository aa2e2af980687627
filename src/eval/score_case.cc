#include "eval/score_case.h"

#include <algorithm>
#include <array>

#include "eval/metrics/labels.h"
#include "eval/metrics/string_metrics.h"
#include "eval/metrics/vqa.h"
#include "eval/score_set.h"
#include "eval/score_set_support.h"

namespace mobilevlm::eval {
namespace {

struct Case {
  std::string prediction;
  std::vector<std::string> references;
};

double Label(YesNo label) { return static_cast<int>(label); }

template <auto Function, auto... Extra>
double Best(const Case& c) {
  return Function(c.prediction, c.references, Extra...);
}

template <auto Match>
double Matches(const Case& c) {
  return std::any_of(c.references.begin(), c.references.end(),
                     [&](const std::string& reference) { return Match(c.prediction, reference); });
}

struct NamedItem {
  std::string_view name;
  double (*score)(const Case&);
  bool needs_references;
};

constexpr std::array kItems = {
    NamedItem{"textvqa_m4c", Best<VqaScore, VqaVariant::kM4c>, true},
    NamedItem{"vqa_official", Best<VqaScore, VqaVariant::kOfficial>, true},
    NamedItem{"vqa_official_noids", Best<VqaScore, VqaVariant::kOfficialNoIds>, true},
    NamedItem{"vqa_vlmevalkit", Best<VqaScore, VqaVariant::kVlmEvalKit>, true},
    NamedItem{"okvqa_lmms", Best<VqaScore, VqaVariant::kM4c>, true},
    NamedItem{"anls_docvqa", Best<AnlsScore, AnlsVariant::kRrc>, true},
    NamedItem{"anls_stvqa_m4c", Best<AnlsScore, AnlsVariant::kStVqaM4c>, true},
    NamedItem{"anls_pix2struct", Best<AnlsScore, AnlsVariant::kPix2struct>, true},
    NamedItem{"chartqa_relaxed", Matches<RelaxedMatch>, true},
    NamedItem{"chartqa_relaxed_qwen", Matches<RelaxedMatchSwapped>, true},
    NamedItem{"chartqa_year_exact", Matches<RelaxedMatchYearExact>, true},
    NamedItem{"gqa_em", Matches<GqaMatch>, true},
    NamedItem{"gqa_lmms", Matches<GqaMatchLmms>, true},
    NamedItem{"pope_label", [](const Case& c) { return Label(PopeLabel(c.prediction)); }, false},
    NamedItem{"pope_lmms", Matches<PopeMatchLmms>, true},
    NamedItem{"mme_label", [](const Case& c) { return Label(MmeLabel(c.prediction)); }, false},
    NamedItem{"mme_label_lmms", [](const Case& c) { return Label(MmeLabelLmms(c.prediction)); }, false},
    NamedItem{"sqa_lmms", Matches<ScienceQaMatchLmms>, true},
};

Result<double> ScoreItem(const NamedItem& metric, const JsonRow& line) {
  Case c;
  MVLM_ASSIGN(c.prediction, line.Text("prediction"));
  if (metric.needs_references) {
    MVLM_ASSIGN(c.references, line.Strings("references"));
    if (c.references.empty())
      return Fail("{}: \"references\": wanted at least one, found none", line.where());
  }
  return metric.score(c);
}

Result<double> ScienceQa(const JsonRow& line, bool parse_only) {
  MVLM_ASSIGN(const std::string prediction, line.Text("prediction"));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const int64_t choices, extra.Integer("num_choices"));
  const int choice = ScienceQaChoice(prediction, static_cast<int>(choices));
  if (parse_only) return choice;
  MVLM_ASSIGN(const std::vector<std::string> references, line.Strings("references"));
  return choice != kNoChoice && !references.empty() &&
         references[0] == std::string(1, static_cast<char>('A' + choice));
}

Result<double> MmBench(const JsonRow& line, MmBenchRule rule) {
  MVLM_ASSIGN(const std::string prediction, line.Text("prediction"));
  MVLM_ASSIGN(const JsonRow extra, line.At("extra"));
  MVLM_ASSIGN(const Options options, ReadOptions(extra));
  return MmBenchChoice(prediction, options, rule);
}

struct NamedLine {
  std::string_view name;
  Result<double> (*score)(const JsonRow&);
};

constexpr std::array kLines = {
    NamedLine{"sqa_parse", [](const JsonRow& line) { return ScienceQa(line, true); }},
    NamedLine{"sqa_correct", [](const JsonRow& line) { return ScienceQa(line, false); }},
    NamedLine{"mmbench_extract_vlmevalkit",
              [](const JsonRow& line) { return MmBench(line, MmBenchRule::kVlmEvalKit); }},
    NamedLine{"mmbench_extract_opencompass",
              [](const JsonRow& line) { return MmBench(line, MmBenchRule::kOpenCompass); }},
};

}  // namespace

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const NamedItem& item : kItems) names.emplace_back(item.name);
  for (const NamedLine& line : kLines) names.emplace_back(line.name);
  for (std::string& name : SetMetricNames()) names.push_back(std::move(name));
  return names;
}

Result<double> ScoreText(const std::string& metric, const std::string& prediction,
                         const std::vector<std::string>& references) {
  std::string names;
  for (const NamedItem& item : kItems) {
    if (!item.needs_references) continue;
    if (item.name == metric) return item.score({prediction, references});
    names += (names.empty() ? "" : ", ") + std::string(item.name);
  }
  return Fail("\"metric\": wanted one of exact, {}, found {}", names, metric);
}

Result<double> ScoreCase(const std::string& metric, const JsonRow& line) {
  for (const NamedItem& item : kItems) {
    if (item.name == metric) return ScoreItem(item, line);
  }
  for (const NamedLine& named : kLines) {
    if (named.name == metric) return named.score(line);
  }
  const std::vector<std::string> names = MetricNames();
  if (std::find(names.begin(), names.end(), metric) == names.end()) {
    return Fail("--metric: wanted one of {}, found {}", fmt::join(names, ", "), metric);
  }
  return ScoreSet(metric, line);
}

}  // namespace mobilevlm::eval
