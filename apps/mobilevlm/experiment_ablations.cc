// The experiment `ablations`: what is the paper's data, strategy and projector each worth, and the number of
// tokens?
#include "experiment.h"
#include "variant_tables.h"

namespace mobilevlm::app {
namespace {

const char* const kAblationsQuestion =
    "One thing at a time is changed against the reference (LDPv2, two stages that train projector and "
    "decoder, all "
    "scenes), then those in which V1 and V2 differ together. All runs begin with the same tower, language "
    "stage and "
    "cached features, see the same number of samples of the same streams with the same losses and rates, and "
    "are "
    "scored in the trainer on the test split: an answer is right if greedy decoding would print it letter "
    "for "
    "letter. Blank: the same question with a picture of the mean colour. Intervals are of the questions, "
    "with the "
    "mean over the seeds; the seeds stand beside them. p is not corrected for the number of comparisons.\n\n"
    "What is not alike: the language stage has read pictures told in 6x6 cells, so projectors with another "
    "number "
    "of tokens begin with a decoder that does not know their grid (their cells' words and places are those "
    "of "
    "their own grid). Without the first stage, its loss on cells goes along with the questions, and the "
    "projector "
    "keeps its rate. The tower has 12x12 patches where the paper's has 24x24: its 144, 64 and 36 of 576 "
    "tokens are "
    "means of 2x2, 3x3 and 4x4 patches, here 36, 16 and 9 of 144. With a fixed number of samples fewer "
    "scenes "
    "are seen more often. The paper's own ablation tables are in no source that this project could read, so "
    "none of "
    "its numbers stand beside these.";

std::vector<Variant> AllVariants() {
  return {
      {"reference", "reference: LDPv2, 2x2, two stages, all scenes"},
      {"data-1-8", "an eighth of the scenes", {}, 8},
      {"data-1-4", "a quarter of the scenes", {}, 4},
      {"data-1-2", "half of the scenes", {}, 2},
      {"frozen", "decoder frozen in the first stage (V1)", {"align:model.train=projector"}},
      {"one-stage",
       "one stage",
       {"multitask:mini.from=language", "multitask:optimizer.projector_learning_rate=2e-3"},
       1,
       true},
      {"linear", "linear", {"mini.projector=linear"}},
      {"mlp2x", "two-layer MLP", {"mini.projector=mlp2x_gelu"}},
      {"ldp", "LDP (V1)", {"mini.projector=ldpnet"}},
      {"no-peg", "LDPv2 without PEG", {"mini.projector=ldpnetv2_no_peg"}},
      {"pool-1", "LDPv2, every patch a token", {"mini.pool=1"}},
      {"pool-3", "LDPv2, 3x3", {"mini.pool=3"}},
      {"pool-4", "LDPv2, 4x4", {"mini.pool=4"}},
      {"v1",
       "V1: LDP, frozen, a quarter of the scenes",
       {"mini.projector=ldpnet", "align:model.train=projector"},
       4},
      {"v1-data", "V1 with all scenes", {"mini.projector=ldpnet", "align:model.train=projector"}},
  };
}

// Variants that are looked at together, with their names there.
struct Group {
  const char* title;
  const char* file;
  std::vector<std::pair<std::string, std::string>> members;
};
std::vector<Group> Groups() {
  return {
      {"Data",
       "data",
       {{"data-1-8", "1/8"}, {"data-1-4", "1/4"}, {"data-1-2", "1/2"}, {"reference", "all scenes"}}},
      {"Training strategy",
       "strategy",
       {{"one-stage", "one stage"}, {"frozen", "frozen first (V1)"}, {"reference", "both train (V2)"}}},
      {"Projector",
       "projector",
       {{"linear", "linear"},
        {"mlp2x", "MLP"},
        {"ldp", "LDP (V1)"},
        {"no-peg", "LDPv2 without PEG"},
        {"reference", "LDPv2"}}},
      {"Tokens", "tokens", {{"pool-1", "1x1"}, {"reference", "2x2"}, {"pool-3", "3x3"}, {"pool-4", "4x4"}}},
      {"From V1 to V2",
       "together",
       {{"v1", "V1"}, {"v1-data", "+ all scenes"}, {"ldp", "+ both train"}, {"reference", "+ LDPv2 (V2)"}}},
  };
}

// Those of the group that were trained.
struct Members {
  std::vector<const TrainedVariant*> variants;
  std::vector<std::string> labels;
};
Members MembersOf(const Group& group, const std::vector<TrainedVariant>& all) {
  Members members;
  for (const auto& [name, label] : group.members) {
    for (const TrainedVariant& one : all) {
      if (one.variant.name != name) continue;
      members.variants.push_back(&one);
      members.labels.push_back(label);
    }
  }
  return members;
}

}  // namespace

Status RunAblationsExperiment(const ExperimentFlags& flags, const std::string& out) {
  MVLM_ASSIGN(const std::vector<Variant> variants, ChooseVariants(AllVariants(), flags.training.variants));
  MVLM_ASSIGN(const TrainingRuns runs, TrainingRuns::Open(flags.training, out, "ablations"));
  return TrainVariants(
      flags, "ablations", runs, variants, [&](const std::vector<TrainedVariant>& all) -> Status {
        const TrainedVariant& reference = all[0];
        ExperimentPage page{
            .name = "ablations",
            .title = "Ablations: data, training strategy, projector, number of tokens",
            .question = kAblationsQuestion,
            .settings = TrainingSettings(flags, runs, static_cast<int>(reference.runs.size())),
            .tables = {},
            .plots = {}};
        for (const Group& group : Groups()) {
          const auto [members, labels] = MembersOf(group, all);
          if (members.size() < 2) continue;  // nothing to compare
          const std::string file = group.file;
          page.tables.push_back(CompareVariants(group.title, members, labels, reference));
          page.plots.emplace_back(file + ".svg", AccuracyPlot(group.title, members, labels));
          page.plots.emplace_back(file + "-kinds.svg",
                                  KindPlot(fmt::format("{}, kind by kind", group.title), members, labels));
        }
        page.tables.push_back(KindTable("By kind, per cent", all, false));
        page.tables.push_back(KindTable("By kind with a blank picture, per cent", all, true));
        page.tables.push_back(RunTable(all));
        page.tables.push_back(SettingTable(all));
        return WritePage(page, out);
      });
}

}  // namespace mobilevlm::app
