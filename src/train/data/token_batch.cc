#include "train/data/token_batch.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace mobilevlm::train {

int64_t PaddedLength(int64_t tokens) {
  constexpr int64_t kLengthStep = 16;
  return (tokens + kLengthStep - 1) / kLengthStep * kLengthStep;
}

Result<TokenSample> MakeTokenSample(const Tokenizer& tokenizer, ChatTemplate chat_template,
                                    const std::vector<Turn>& turns, int visual) {
  MVLM_ASSIGN(const Prompt prompt, AssemblePrompt(tokenizer, chat_template, "", turns));
  TokenSample sample;
  for (const PromptSegment& segment : prompt.segments) {
    if (segment.is_image) {
      sample.image_starts.push_back(static_cast<int>(sample.ids.size()));
      sample.ids.resize(sample.ids.size() + static_cast<size_t>(visual), 0);
      sample.supervised.resize(sample.ids.size(), 0);
      continue;
    }
    sample.ids.insert(sample.ids.end(), segment.ids.begin(), segment.ids.end());
    sample.supervised.insert(sample.supervised.end(), segment.supervised.begin(), segment.supervised.end());
  }
  return sample;
}

TokenSample SideBySide(std::span<const TokenSample> samples, size_t shared) {
  MVLM_CHECK(!samples.empty(), "no rounds");
  TokenSample result{.ids = {samples[0].ids.begin(), samples[0].ids.begin() + static_cast<ptrdiff_t>(shared)},
                     .supervised = std::vector<uint8_t>(shared, 0),
                     .image_starts = samples[0].image_starts,
                     .rounds = std::vector<int>(shared, 0)};
  for (size_t s = 0; s < samples.size(); ++s) {
    const TokenSample& sample = samples[s];
    MVLM_CHECK(sample.ids.size() > shared &&
                   std::equal(sample.ids.begin(), sample.ids.begin() + static_cast<ptrdiff_t>(shared),
                              result.ids.begin()),
               "round {} begins in another way", s);
    const int behind = static_cast<int>(result.ids.size() - shared);
    const auto moved = [&](int token) { return token < static_cast<int>(shared) ? token : token + behind; };
    for (TokenLook look : sample.looks) {
      look.token = moved(look.token);
      std::transform(look.wanted.begin(), look.wanted.end(), look.wanted.begin(), moved);
      result.looks.push_back(std::move(look));
    }
    result.ids.insert(result.ids.end(), sample.ids.begin() + static_cast<ptrdiff_t>(shared),
                      sample.ids.end());
    result.supervised.insert(result.supervised.end(),
                             sample.supervised.begin() + static_cast<ptrdiff_t>(shared),
                             sample.supervised.end());
    result.rounds.resize(result.ids.size(), static_cast<int>(s) + 1);
  }
  return result;
}

namespace {

// positions and mask of a batch that holds rounds side by side.
void PlaceRounds(std::span<const TokenSample> samples, TokenBatch& batch) {
  const int64_t tokens = batch.tokens;
  batch.positions = torch::arange(tokens, torch::kInt64).repeat({batch.batch});
  batch.mask = torch::full({batch.batch, tokens, tokens}, -std::numeric_limits<float>::infinity());
  auto* positions = batch.positions.data_ptr<int64_t>();
  auto* mask = batch.mask.data_ptr<float>();
  for (size_t s = 0; s < samples.size(); ++s) {
    const std::vector<int>& rounds = samples[s].rounds;
    const auto round = [&](int64_t t) {
      return t < static_cast<int64_t>(rounds.size()) ? rounds[static_cast<size_t>(t)] : 0;
    };
    int64_t shared = 0, begin = 0;
    for (int64_t t = 0; t < tokens; ++t, ++positions) {
      if (t > 0 && round(t) != round(t - 1)) begin = t;
      if (round(t) == 0 && begin == 0) shared = t + 1;
      if (round(t) > 0) *positions = shared + t - begin;
      float* row = mask + (static_cast<int64_t>(s) * tokens + t) * tokens;
      for (int64_t seen = 0; seen <= t; ++seen) {
        if (round(seen) == 0 || round(seen) == round(t)) row[seen] = 0.0f;
      }
    }
  }
}

std::map<int, std::vector<Looks>> PlaceLooks(std::span<const TokenSample> samples, int64_t tokens) {
  // By layer and head.
  std::map<std::pair<int, int>, std::pair<std::vector<int64_t>, std::vector<const TokenLook*>>> heads;
  for (size_t s = 0; s < samples.size(); ++s) {
    for (const TokenLook& look : samples[s].looks) {
      auto& [rows, looks] = heads[{look.layer, look.head}];
      rows.push_back(static_cast<int64_t>(s) * tokens + look.token);
      looks.push_back(&look);
    }
  }
  std::map<int, std::vector<Looks>> result;
  for (const auto& [at, found] : heads) {
    const auto& [rows, looks] = found;
    torch::Tensor wanted = torch::zeros({static_cast<int64_t>(rows.size()), tokens});
    for (size_t r = 0; r < rows.size(); ++r) {
      float* row = wanted.data_ptr<float>() + static_cast<int64_t>(r) * tokens;
      const TokenLook& look = *looks[r];
      for (size_t w = 0; w < look.wanted.size(); ++w) {
        row[look.wanted[w]] = look.shares.empty() ? 1.0f : look.shares[w];
      }
    }
    result[at.first].push_back({.head = at.second,
                                .divided = !looks[0]->shares.empty(),
                                .rows = torch::tensor(rows, torch::kInt64),
                                .wanted = wanted});
  }
  return result;
}

}  // namespace

TokenBatch Collate(std::span<const TokenSample> samples, int visual) {
  TokenBatch result;
  result.batch = static_cast<int64_t>(samples.size());
  for (const TokenSample& sample : samples) {
    result.tokens = std::max(result.tokens, static_cast<int64_t>(sample.ids.size()));
    result.used += static_cast<int64_t>(sample.ids.size());
  }
  result.tokens = PaddedLength(result.tokens);
  std::vector<int64_t> ids(static_cast<size_t>(result.batch * result.tokens), 0);
  std::vector<int64_t> image_rows, source_rows, targets;
  for (size_t s = 0; s < samples.size(); ++s) {
    const TokenSample& sample = samples[s];
    const int64_t base = static_cast<int64_t>(s) * result.tokens;
    std::copy(sample.ids.begin(), sample.ids.end(), ids.begin() + base);
    for (const int start : sample.image_starts) {
      for (int v = 0; v < visual; ++v) image_rows.push_back(base + start + v);
    }
    MVLM_CHECK(sample.supervised.empty() || sample.supervised[0] == 0,
               "the first id has nothing to predict it");
    for (size_t t = 1; t < sample.ids.size(); ++t) {
      if (!sample.supervised[t]) continue;
      source_rows.push_back(base + static_cast<int64_t>(t) - 1);
      targets.push_back(sample.ids[t]);
      result.samples.push_back(static_cast<int>(s));
    }
  }
  const bool side_by_side = std::any_of(samples.begin(), samples.end(),
                                        [](const TokenSample& sample) { return !sample.rounds.empty(); });
  if (side_by_side) PlaceRounds(samples, result);
  result.looks = PlaceLooks(samples, result.tokens);
  result.ids = torch::tensor(ids, torch::kInt64);
  result.image_rows = torch::tensor(image_rows, torch::kInt64);
  result.source_rows = torch::tensor(source_rows, torch::kInt64);
  result.targets = torch::tensor(targets, torch::kInt64);
  return result;
}

}  // namespace mobilevlm::train
