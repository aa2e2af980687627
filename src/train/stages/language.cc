#include "train/stages/language.h"

#include "train/stages/text_step.h"
#include "train/stages/validation.h"

namespace mobilevlm::train {

Result<LoopEnd> TrainLanguage(const world::World& world, const Tokenizer& tokenizer, const MiniConfig& config,
                              const StageOptions& options, const TextOptions& text_options,
                              StopSignal& stop) {
  torch::manual_seed(options.seed);
  DataParallel parallel(options.parallel);
  MobileVlm model(MobileVlmConfig{.llm = config.LlmWith(tokenizer),
                                  .projector = std::nullopt,
                                  .vision = std::nullopt,
                                  .cells = config.projector().tokens(),
                                  .look_loss = text_options.look_loss});
  Optimizer optimizer(DecayGroups(*model, "", options.learning_rate, options.weight_decay),
                      parallel.processes(), parallel.sharing());
  const int visual = config.projector().tokens();
  const WorldText text(world, tokenizer, visual, config.llm.context, text_options.kind_weights);

  const auto items = [&](int64_t step) {
    std::vector<TextItem> result;
    for (int64_t i = 0; i < options.batch; ++i) {
      const uint64_t index = static_cast<uint64_t>(step * options.batch + i);
      Random random = Random::Stream(options.seed, index);
      const world::Scene scene = world.MakeScene(world::Split::kTrain, index);
      TextItem item;
      item.sample = random.Chance(text_options.caption_share)
                        ? text.Caption(scene)
                        : text.Asked(scene, text_options.most_rounds, text_options.dialogue_share, random);
      item.cells = text.Cells(scene);
      result.push_back(std::move(item));
    }
    return result;
  };
  const ValidationSet validation =
      MakeValidationSet(world, text, text_options.questions_per_kind, options.seed);
  const auto validate = [&] {
    const VisualSource cells = [&](const ValidationSet::Kind& kind, size_t begin, size_t end,
                                   MicroBatch& batch) {
      std::vector<TextItem> part(end - begin);
      for (size_t i = begin; i < end; ++i) part[i - begin].cells = text.Cells(kind.scenes[i]);
      FillCells(part, batch);
    };
    return ExactMatchPerKind(*model, validation, visual, cells, parallel);
  };
  return RunTextStage("language", model, optimizer, options, visual, items, FillCells, validate, parallel,
                      stop);
}

}  // namespace mobilevlm::train
