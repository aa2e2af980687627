// What the server measures, for Prometheus. docs/serving.md lists the names.
//
// Thread contract: all methods from any threads.
#pragma once

#include <memory>
#include <string>

#include "mobilevlm/batch.h"
#include "serve/ticket.h"

namespace mobilevlm::serve {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void CountResponse(const std::string& path, int status);
  void CountEnd(const Ticket& ticket, Outcome outcome);

  // Text in Prometheus' format, with the state of this moment.
  std::string Render(const BatchStats& stats, size_t queue_length, int free_streams);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

// Bytes of physical memory this process holds; 0 if the system does not tell.
uint64_t ResidentBytes();

}  // namespace mobilevlm::serve
