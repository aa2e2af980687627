// The mini world's questions as a Benchmark.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "eval/tasks/task.h"
#include "world/world.h"

namespace mobilevlm::eval {

// Question i of a kind is the same in every run. The questions keep the world alive.
Benchmark WorldBenchmark(const std::shared_ptr<const world::World>& world, world::Split split,
                         const std::vector<std::string>& kinds, uint64_t per_kind);

extern const Task kWorld;

}  // namespace mobilevlm::eval
