// The options and results of the C interface in the words of the C++ one, and back.
#pragma once

#include "mobilevlm/mobilevlm.h"
#include "mobilevlm/mobilevlm_c.h"

namespace mobilevlm::capi {

// An Error names the member that makes no sense.
Result<LoadOptions> Translate(const mobilevlm_load_options& options);
Result<SessionOptions> Translate(const mobilevlm_session_options& options);
// All but the callback and the cancellation.
Result<GenerateOptions> Translate(const mobilevlm_ask_options& options);

// Strings point into `model`.
mobilevlm_model_info Translate(const ModelInfo& model);
mobilevlm_stats Translate(const Stats& stats);
mobilevlm_stop_reason Translate(StopReason reason);

}  // namespace mobilevlm::capi
