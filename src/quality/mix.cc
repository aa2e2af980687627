#include "quality/mix.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "quality/annotation_writer.h"
#include "quality/flat_table.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {
namespace {

// The weight of every name of a file's table; 1 for those that nobody named.
std::vector<double> WeightsOf(const std::vector<std::string>& names,
                              const std::map<std::string, double>& weights) {
  std::vector<double> result;
  for (const std::string& name : names) {
    const auto found = weights.find(name);
    result.push_back(found == weights.end() ? 1.0 : found->second);
  }
  return result;
}

Status CheckNames(const char* what, const std::map<std::string, double>& weights,
                  const std::vector<const std::vector<std::string>*>& tables) {
  for (const auto& [name, weight] : weights) {
    std::string known;
    bool found = false;
    for (const auto* table : tables) {
      for (const std::string& other : *table) {
        found = found || other == name;
        if (known.size() < 200 && known.find(other) == std::string::npos)
          known += (known.empty() ? "" : ", ") + other;
      }
    }
    if (!found) return Fail("no {} is called '{}'; there are {}", what, name, known);
    if (!(weight >= 0) || weight > 1e6)
      return Fail("{} '{}': wanted a weight from 0, found {}", what, name, weight);
  }
  return {};
}

Status CheckWeights(const data::Dataset& dataset, const MixOptions& options) {
  std::vector<const std::vector<std::string>*> sources, kinds;
  for (const data::AnnotationFile& file : dataset.files()) {
    sources.push_back(&file.source_names());
    kinds.push_back(&file.kind_names());
  }
  MVLM_TRY(CheckNames("source", options.source_weights, sources));
  return CheckNames("kind", options.kind_weights, kinds);
}

// How often each sample is to be written, by the weights; never where it is unusable or of a wrong length.
std::vector<uint64_t> CountTimes(const data::Dataset& dataset, const MixOptions& options, Random& random,
                                 MixReport& report) {
  std::vector<uint64_t> times(dataset.size(), 0);
  for (size_t f = 0; f < dataset.files().size(); ++f) {
    const data::AnnotationFile& file = dataset.files()[f];
    const std::vector<double> sources = WeightsOf(file.source_names(), options.source_weights);
    const std::vector<double> kinds = WeightsOf(file.kind_names(), options.kind_weights);
    for (size_t i = 0; i < file.rows().size(); ++i) {
      const data::IndexRow& row = file.rows()[i];
      const double fraction = random.Uniform();  // drawn for all, so that a filter changes no other choice
      const bool defect = row.defect != data::Defect::kNone;
      const bool length = row.answer_words < options.least_answer_words ||
                          (options.most_words > 0 && row.words > options.most_words);
      report.defects += defect;
      report.by_length += !defect && length;
      if (defect || length) continue;
      const double weight = dataset.weight(f) * sources[row.source] * kinds[row.kind];
      const double whole = std::floor(weight);
      times[dataset.start(f) + i] = static_cast<uint64_t>(whole) + (fraction < weight - whole ? 1 : 0);
    }
  }
  return times;
}

// Counts how often the answers of a kind are to be written and takes off what is beyond the limit.
Status LimitAnswers(const data::Dataset& dataset, const MixOptions& options, const Work& work,
                    std::vector<uint64_t>& times, MixReport& report) {
  FlatTable counts;
  const auto read = [&](uint32_t s, const data::Sample& sample, size_t) {
    if (times[s] == 0) return uint64_t{0};
    std::string answers;
    for (const Turn& turn : sample.turns) answers += NormaliseText(turn.assistant) + '\n';
    const auto [file, row] = dataset.PlaceOf(s);
    const data::AnnotationFile& of = dataset.files()[file];
    return HashText(answers, HashText(of.kind_names()[of.rows()[row].kind]));
  };
  return ScanSamples<uint64_t>(dataset, work, "reading answers", read, [&](uint32_t s, uint64_t key) {
    if (times[s] == 0) return Status();
    uint32_t& count = counts.At(key, 0);
    const uint64_t fit = std::min(times[s], options.most_same_answer - count);
    count += static_cast<uint32_t>(fit);
    report.by_answer += times[s] - fit;
    times[s] = fit;
    return Status();
  });
}

// Every sample as often as it is written, as a list of sample numbers.
std::vector<uint32_t> Choose(const std::vector<uint64_t>& times, const MixOptions& options, Random& random) {
  std::vector<uint32_t> chosen;
  for (size_t s = 0; s < times.size(); ++s) chosen.insert(chosen.end(), times[s], static_cast<uint32_t>(s));
  if (options.shuffle) random.Shuffle(std::span(chosen));
  if (options.limit > 0 && chosen.size() > options.limit) chosen.resize(options.limit);
  return chosen;
}

}  // namespace

Result<MixReport> Mix(const data::Dataset& dataset, const MixOptions& options, const std::string& out,
                      const Work& work) {
  MVLM_TRY(CheckWeights(dataset, options));
  MVLM_ASSIGN(AnnotationWriter writer, AnnotationWriter::Create(out, dataset));
  MixReport report;
  report.read = dataset.size();
  Random random(options.seed);
  std::vector<uint64_t> times = CountTimes(dataset, options, random, report);
  if (options.most_same_answer > 0) MVLM_TRY(LimitAnswers(dataset, options, work, times, report));

  const std::vector<uint32_t> chosen = Choose(times, options, random);
  if (chosen.empty()) return Fail("{}: no sample is left to write", out);
  MVLM_TRY(ForEach(work, "writing " + out, chosen.size(), [&](uint64_t i) {
    const auto [file, row] = dataset.PlaceOf(chosen[i]);
    const data::AnnotationFile& of = dataset.files()[file];
    ++report.sources[of.source_names()[of.rows()[row].source]];
    ++report.kinds[of.kind_names()[of.rows()[row].kind]];
    return writer.Add(chosen[i]);
  }));
  report.written = writer.written();
  MVLM_TRY(writer.Commit());
  return report;
}

}  // namespace mobilevlm::quality
