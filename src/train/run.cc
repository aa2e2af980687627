#include "train/run.h"

#include <memory>

#include "train/modules/functional.h"
#include "train/parallel/process_group.h"
#include "train/stages/finetune.h"
#include "train/stop_signal.h"

namespace mobilevlm::train {

void ApplyRecipe(const Recipe& recipe, ParallelOptions& parallel) {
  parallel.threads = static_cast<int>(recipe.run.threads);
  parallel.average = recipe.schedule.loss_average == "rank" ? LossAverage::kRank : LossAverage::kToken;
  parallel.bfloat16 =
      recipe.model.products == "bfloat16" || (recipe.model.products == "auto" && HasBfloat16());
}

Status ThrowingNothing(const std::string& what, const std::function<Status()>& work) {
  try {
    return work();
  } catch (const PeerLost& lost) {
    return Fail("{}; the last checkpoint is kept, the same command continues from there", lost.what());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return Fail("{}: {}", what, error.what());
  }
}

Status RunRecipe(const Recipe& recipe, const std::string& directory, ParallelOptions parallel) {
  if (recipe.kind != "finetune") return Fail("kind {}: `mini` runs this stage", recipe.kind);
  ApplyRecipe(recipe, parallel);
  std::unique_ptr<ProcessGroup> alone;
  if (parallel.processes == nullptr) {
    alone = ProcessGroup::Alone();
    parallel.processes = alone.get();
  }
  StopSignal stop;
  return ThrowingNothing(recipe.stage, [&]() -> Status {
    MVLM_TRY(Finetune(recipe, directory, parallel, stop));
    return {};
  });
}

}  // namespace mobilevlm::train
