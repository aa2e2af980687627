// Notices, through the store that rank 0 hosts, that another process of the job has died, hangs or cannot be
// reached, and tells the program once.
//
// Every process raises its own counter once a second on a thread of its own. Rank 0 watches all counters and
// publishes who stopped; everyone reads that. Who cannot reach the store any more has lost rank 0. Patience
// is counted in one's own rounds, not in time: a machine that was suspended as a whole does not suspect the
// others when it wakes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "train/parallel/environment.h"

namespace mobilevlm::train {

class Heartbeat {
 public:
  // `patience`: seconds without a sign of life until a process counts as lost; everyone knows within two more
  // rounds. `on_lost` is called at most once, on a thread of this object, with one line for the user; a
  // program usually ends itself there, because its other threads may wait for the lost process for ever.
  static Result<std::unique_ptr<Heartbeat>> Start(const ProcessEnvironment& environment, int patience,
                                                  std::function<void(const std::string&)> on_lost);

  // Says that this process ends in order, and stops. Rank 0 keeps the store until all have said so or are
  // lost.
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // Tells all other processes that this one ends with an error; the first message counts.
  void Publish(const std::string& message);

  // Waits for the verdict that a failed collective calls for, who was lost, and until `on_lost` has been told
  // and has returned. Nothing if within patience and a few rounds nobody is lost.
  std::optional<std::string> AwaitVerdict();

  // Somebody is lost, or this process published an error: what communicates may wait for ever.
  bool broken() const;

 private:
  struct State;
  void SayGoodbye();
  explicit Heartbeat(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mobilevlm::train
