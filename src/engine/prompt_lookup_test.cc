#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace mobilevlm::engine {
namespace {

using Ids = std::vector<int>;

TEST(PromptLookup, ContinuesWhatFollowedBefore) {
  const Ids text{1, 2, 3, 4, 5, 9, 2, 3};
  const Draft draft = LookUpDraft(text, 3);
  EXPECT_EQ(draft.ids, (Ids{4, 5, 9}));
  EXPECT_EQ(draft.match, 2u);
}

TEST(PromptLookup, NothingBeforeNothingDrafted) {
  for (const Ids& text : {Ids{}, Ids{7}, Ids{1, 2, 3, 4}}) {
    const Draft draft = LookUpDraft(text, 4);
    EXPECT_TRUE(draft.ids.empty());
    EXPECT_EQ(draft.match, 0u);
  }
  EXPECT_TRUE(LookUpDraft(Ids{1, 1, 1}, 0).ids.empty());
}

TEST(PromptLookup, PrefersTheLongerMatchThenTheLaterOne) {
  // "5 6" twice and a nearer lone "6".
  EXPECT_EQ(LookUpDraft(Ids{5, 6, 10, 5, 6, 11, 8, 6, 12, 5, 6}, 1).ids, (Ids{11}));
  // Equal matches of one id: the later.
  EXPECT_EQ(LookUpDraft(Ids{6, 10, 6, 11, 6}, 1).ids, (Ids{11}));
}

TEST(PromptLookup, AgreementBeyondTheLongestMatchDecidesNothing) {
  // Five ids agree with the first place, four with the second and later one.
  const Ids text{1, 2, 3, 4, 5, 100, 9, 2, 3, 4, 5, 200, 1, 2, 3, 4, 5};
  const Draft draft = LookUpDraft(text, 1);
  EXPECT_EQ(draft.ids, (Ids{200}));
  EXPECT_EQ(draft.match, kLongestMatch);
}

TEST(PromptLookup, ALoopGoesOn) {
  EXPECT_EQ(LookUpDraft(Ids{9, 1, 2, 1, 2}, 5).ids, (Ids{1, 2, 1, 2, 1}));
  EXPECT_EQ(LookUpDraft(Ids{3, 3}, 3).ids, (Ids{3, 3, 3}));
}

TEST(PromptLookup, PicturesAgreeWithNothingAndEndADraft) {
  EXPECT_TRUE(LookUpDraft(Ids{-1, 5, 6, -1}, 3).ids.empty());
  EXPECT_EQ(LookUpDraft(Ids{7, 8, 9, -1, 4, 7}, 5).ids, (Ids{8, 9}));
  // What follows a picture must not be taken for what follows the text before it.
  EXPECT_TRUE(LookUpDraft(Ids{7, -1, 9, 7}, 5).ids.empty());
  // The match itself ends at the picture: one id, not two.
  EXPECT_EQ(LookUpDraft(Ids{-1, 7, 9, -1, 7}, 1).match, 1u);
}

// Whatever the text: a draft has the asked length at most, no negative id, and repeats what stood there.
TEST(PromptLookup, HoldsOnEveryShortText) {
  for (int code = 0; code < 4 * 4 * 4 * 4 * 4 * 4 * 4; ++code) {
    Ids text;
    for (int rest = code, i = 0; i < 7; ++i, rest /= 4) text.push_back(rest % 4 - 1);
    const Draft draft = LookUpDraft(text, 3);
    ASSERT_LE(draft.ids.size(), 3u);
    ASSERT_EQ(draft.match == 0, draft.ids.empty()) << code;
    for (const int id : draft.ids) ASSERT_GE(id, 0);
    if (draft.match == 0) continue;
    // The last ids and the first drafted one stand somewhere in the text.
    Ids wanted(text.end() - static_cast<std::ptrdiff_t>(draft.match), text.end());
    wanted.push_back(draft.ids.front());
    ASSERT_NE(std::search(text.begin(), text.end(), wanted.begin(), wanted.end()), text.end()) << code;
  }
}

}  // namespace
}  // namespace mobilevlm::engine
