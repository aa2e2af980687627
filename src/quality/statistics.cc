#include "quality/statistics.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>

#include "base/random.h"
#include "quality/flat_table.h"
#include "quality/text_hash.h"

namespace mobilevlm::quality {
namespace {

constexpr size_t kTopAnswers = 5;
constexpr size_t kBins = 14;  // 1, 2, 3-4, ..., 4097 and more

size_t BinOf(uint32_t words) {
  return words <= 1 ? 0 : std::min<size_t>(kBins - 1, static_cast<size_t>(std::bit_width(words - 1)));
}

std::string BinName(size_t bin) { return bin + 1 == kBins ? ">4k" : fmt::format("{}", 1u << bin); }

Spread SpreadOf(std::vector<uint32_t>& counts) {
  if (counts.empty()) return {};
  const auto at = [&](double share) {
    const auto place =
        counts.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(counts.size() - 1));
    std::nth_element(counts.begin(), place, counts.end());
    return *place;
  };
  return {at(0.5), at(0.95), *std::max_element(counts.begin(), counts.end())};
}

// Numbers for names over several files, whose tables differ.
class Groups {
 public:
  size_t NumberOf(const std::string& name) {
    const auto [it, added] = numbers_.try_emplace(name, statistics.size());
    if (added) {
      statistics.emplace_back().name = name;
      words_.emplace_back();
      answers_.emplace_back();
    }
    return it->second;
  }
  void Add(size_t group, const data::IndexRow& row) {
    ++statistics[group].samples;
    statistics[group].rounds += row.rounds;
    statistics[group].pictures += row.pictures;
    words_[group].push_back(row.words);
    answers_[group].push_back(row.answer_words);
  }
  void Finish() {
    for (size_t i = 0; i < statistics.size(); ++i) {
      statistics[i].words = SpreadOf(words_[i]);
      statistics[i].answer_words = SpreadOf(answers_[i]);
    }
    words_.clear();
    answers_.clear();
  }

  std::vector<GroupStatistics> statistics;

 private:
  std::map<std::string, size_t> numbers_;
  std::vector<std::vector<uint32_t>> words_, answers_;  // [groups][samples]
};

// How often each answer was given to a kind of question.
class AnswerCounts {
 public:
  void Add(uint64_t answer, uint32_t kind, uint32_t sample, uint32_t round) {
    const uint32_t number =
        numbers_.At(answer ^ (kind * 0x9E3779B97F4A7C15ull), static_cast<uint32_t>(counts_.size()));
    if (number == counts_.size()) counts_.push_back({0, kind, sample, round});
    ++counts_[number].count;
  }

  Status FillIn(const data::Dataset& dataset, std::vector<GroupStatistics>& kinds) {
    std::sort(counts_.begin(), counts_.end(), [](const Count& a, const Count& b) {
      return a.kind != b.kind     ? a.kind < b.kind
             : a.count != b.count ? a.count > b.count
                                  : a.sample < b.sample;
    });
    data::SampleReader reader;
    for (const Count& count : counts_) {
      GroupStatistics& kind = kinds[count.kind];
      ++kind.distinct_answers;
      if (kind.top_answers.size() == kTopAnswers) continue;
      MVLM_ASSIGN(const data::Sample sample, dataset.Read(count.sample, reader));
      kind.top_answers.push_back({sample.turns[count.round].assistant, count.count});
    }
    return {};
  }

 private:
  struct Count {
    uint32_t count, kind, sample, round;  // the first one's place
  };
  FlatTable numbers_;
  std::vector<Count> counts_;
};

// The hashes of a sample's questions and answers, one a round.
struct TextHashes {
  std::vector<uint64_t> questions, answers;
};

class Describer {
 public:
  explicit Describer(const data::Dataset& dataset) : dataset_(dataset) {
    for (const data::AnnotationFile& file : dataset.files()) {
      sources_of_.emplace_back();
      kinds_of_.emplace_back();
      for (const std::string& name : file.source_names())
        sources_of_.back().push_back(sources_.NumberOf(name));
      for (const std::string& name : file.kind_names()) kinds_of_.back().push_back(kinds_.NumberOf(name));
    }
    result_.source_kinds.assign(sources_.statistics.size(),
                                std::vector<uint64_t>(kinds_.statistics.size(), 0));
    for (size_t bin = 0; bin < kBins; ++bin) result_.bins.push_back(BinName(bin));
    for (auto* counts : {&result_.words_with_picture, &result_.words_text_only, &result_.answer_words}) {
      counts->assign(kBins, 0);
    }
  }

  void Take(uint32_t s, const TextHashes& hashes) {
    const auto [file, number] = dataset_.PlaceOf(s);
    const data::IndexRow& row = dataset_.files()[file].rows()[number];
    ++result_.samples;
    if (row.defect != data::Defect::kNone) {
      ++result_.defects;
      return;
    }
    result_.text_only += row.pictures == 0;
    result_.several_pictures += row.pictures > 1;
    result_.rounds += row.rounds;
    result_.words += row.words;
    const size_t source = sources_of_[file][row.source], kind = kinds_of_[file][row.kind];
    sources_.Add(source, row);
    kinds_.Add(kind, row);
    ++result_.source_kinds[source][kind];
    ++(row.pictures > 0 ? result_.words_with_picture : result_.words_text_only)[BinOf(row.words)];
    ++result_.answer_words[BinOf(row.answer_words)];
    for (size_t i = 0; i < hashes.answers.size(); ++i) {
      questions_.At(hashes.questions[i], 0);
      answers_.At(hashes.answers[i], 0);
      counts_.Add(hashes.answers[i], static_cast<uint32_t>(kind), s, static_cast<uint32_t>(i));
    }
  }

  Result<Statistics> Finish(const StatisticsOptions& options) {
    sources_.Finish();
    kinds_.Finish();
    MVLM_TRY(counts_.FillIn(dataset_, kinds_.statistics));
    result_.distinct_questions = questions_.size();
    result_.distinct_answers = answers_.size();
    result_.examples = Examples(options);
    Sort();
    return std::move(result_);
  }

 private:
  // A few of every source, the same number where there are enough.
  std::vector<uint32_t> Examples(const StatisticsOptions& options) const {
    std::vector<std::vector<uint32_t>> picked(sources_.statistics.size());
    const size_t each = std::max<size_t>(1, options.examples / std::max<size_t>(picked.size(), 1));
    Random random(options.seed);
    for (size_t tries = 0; tries < 200 * options.examples; ++tries) {
      const auto s = static_cast<uint32_t>(random.Below(dataset_.size()));
      const auto [file, number] = dataset_.PlaceOf(s);
      const data::IndexRow& row = dataset_.files()[file].rows()[number];
      auto& of_source = picked[sources_of_[file][row.source]];
      const bool known = std::find(of_source.begin(), of_source.end(), s) != of_source.end();
      if (row.defect == data::Defect::kNone && of_source.size() < each && !known) of_source.push_back(s);
    }
    std::vector<uint32_t> examples;
    for (const auto& of_source : picked) examples.insert(examples.end(), of_source.begin(), of_source.end());
    if (examples.size() > options.examples) examples.resize(options.examples);
    return examples;
  }

  // The largest groups first, the matrix in the same order; groups without a usable sample go.
  void Sort() {
    const auto order = [](const std::vector<GroupStatistics>& groups) {
      std::vector<size_t> places;
      for (size_t i = 0; i < groups.size(); ++i) {
        if (groups[i].samples > 0) places.push_back(i);
      }
      std::stable_sort(places.begin(), places.end(),
                       [&](size_t a, size_t b) { return groups[a].samples > groups[b].samples; });
      return places;
    };
    const std::vector<size_t> sources = order(sources_.statistics), kinds = order(kinds_.statistics);
    std::vector<std::vector<uint64_t>> matrix;
    for (const size_t s : sources) {
      result_.sources.push_back(sources_.statistics[s]);
      matrix.emplace_back();
      for (const size_t k : kinds) matrix.back().push_back(result_.source_kinds[s][k]);
    }
    for (const size_t k : kinds) result_.kinds.push_back(std::move(kinds_.statistics[k]));
    result_.source_kinds = std::move(matrix);
  }

  const data::Dataset& dataset_;
  Statistics result_;
  Groups sources_, kinds_;
  std::vector<std::vector<size_t>> sources_of_, kinds_of_;  // [files][names of the file]
  FlatTable questions_, answers_;
  AnswerCounts counts_;
};

}  // namespace

Result<Statistics> Describe(const data::Dataset& dataset, const StatisticsOptions& options,
                            const Work& work) {
  Describer describer(dataset);
  const auto read = [](uint32_t, const data::Sample& sample, size_t) {
    TextHashes hashes;
    for (const Turn& turn : sample.turns) {
      hashes.questions.push_back(HashText(NormaliseText(turn.user)));
      hashes.answers.push_back(HashText(NormaliseText(turn.assistant)));
    }
    return hashes;
  };
  MVLM_TRY(ScanSamples<TextHashes>(dataset, work, "reading samples", read,
                                   [&](uint32_t s, const TextHashes& hashes) {
                                     describer.Take(s, hashes);
                                     return Status();
                                   }));
  return describer.Finish(options);
}

}  // namespace mobilevlm::quality
