#include "train/stages/language.h"

#include "train/checkpoint.h"
#include "train/data/scene_mix.h"
#include "train/mini_start.h"
#include "train/stages/text_step.h"
#include "train/stages/validation.h"

namespace mobilevlm::train {

Result<LoopEnd> TrainLanguage(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                              const StageOptions& options, StopSignal& stop) {
  torch::manual_seed(options.seed());
  DataParallel parallel(options.parallel);
  MobileVlmConfig sizes;
  sizes.llm = config.LlmWith(tokenizer);
  sizes.cells = config.projector().tokens();
  sizes.look_loss = options.mini().look_loss;
  MobileVlm model(sizes);
  if (const std::string& start = options.recipe.model.start; !start.empty()) {
    MVLM_ASSIGN(MiniStart weights, ReadMiniStart(start, config));
    weights.rest.merge(ModuleTensors(*model, ""));  // the cells' places stay as initialised
    MVLM_TRY(LoadModule(*model, weights.rest, ""));
  }
  Optimizer optimizer(MakeGroups(*model, options.recipe.optimizer), AdamOptions::Of(options.recipe.optimizer),
                      parallel.processes(), parallel.sharing());
  const SceneMix scenes(world, options.mini().scene_shares);
  const int visual = config.projector().tokens();
  const WorldText text(world, tokenizer, visual, config.llm.context, options.mini().kind_weights,
                       Shown::kWords);

  const Recipe::Mini& mini = options.mini();
  const ValidationSet validation = MakeValidationSet(world, text, mini.questions_per_kind, options.seed());
  TextStage stage;
  stage.visual = visual;
  stage.fill = FillCells;
  stage.items = [&](int64_t step) {
    std::vector<TextItem> result;
    for (int64_t i = 0; i < options.schedule().batch; ++i) {
      const uint64_t index = static_cast<uint64_t>(step * options.schedule().batch + i);
      Random random = Random::Stream(options.seed(), index);
      const world::Scene scene = scenes.Make(index);
      TextItem item;
      item.sample = random.Chance(mini.caption_share)
                        ? text.Caption(scene)
                        : text.Asked(scene, static_cast<int>(mini.most_rounds), mini.dialogue_share, random);
      item.cells = text.Cells(scene);
      result.push_back(std::move(item));
    }
    return result;
  };
  stage.validate = [&] {
    const VisualSource cells = [&](const ValidationSet::Kind& kind, size_t begin, size_t end,
                                   MicroBatch& batch) {
      std::vector<TextItem> part(end - begin);
      for (size_t i = begin; i < end; ++i) part[i - begin].cells = text.Cells(kind.scenes[i]);
      FillCells(part, batch);
    };
    return ExactMatchPerKind(*model, validation, visual, cells, parallel);
  };
  return RunTextStage(model, optimizer, options, stage, parallel, stop);
}

}  // namespace mobilevlm::train
