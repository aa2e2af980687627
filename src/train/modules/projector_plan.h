// Which projector the trainer builds: one of the three official ones, which have a GGUF form, or a variant of
// one that only experiments train and compare. No torch here.
#pragma once

#include <string>

#include "base/result.h"
#include "schema/config.h"

namespace mobilevlm::train {

enum class ProjectorVariant {
  kOfficial,
  kLinear,      // one matrix and a bias, as LLaVA (2023) began; every patch stays a token
  kWithoutPeg,  // LDPv2 without its convolution, which mixes neighbours and tells places apart
};

struct ProjectorPlan {
  // NOLINTNEXTLINE(google-explicit-constructor): an official projector is a plan
  ProjectorPlan(const ProjectorConfig& official) : config(official) {}
  // By the name a recipe gives it (mini.projector): ldpnetv2, ldpnet, mlp2x_gelu, linear, ldpnetv2_no_peg;
  // another one aborts. The sizes are those of `sizes`.
  static ProjectorPlan Named(const std::string& name, const ProjectorConfig& sizes);

  ProjectorConfig config;  // the sizes, and the official type it is made of
  ProjectorVariant variant = ProjectorVariant::kOfficial;
  int pool = 2;  // LDPv2 averages pool x pool patches into a token; officially 2

  bool pools() const { return config.type == ProjectorType::kLdpV2 && variant != ProjectorVariant::kLinear; }
  // Has it a GGUF form?
  bool official() const { return variant == ProjectorVariant::kOfficial && (!pools() || pool == 2); }
  int token_grid() const;  // side of the tokens' grid, row by row as the patches'
  int tokens() const { return token_grid() * token_grid(); }
  std::string name() const;  // "ldpnetv2", "linear", "ldpnetv2, pool 3"

  // `where` begins the Error.
  Status Check(const std::string& where) const;

  // Operations of the matrix products, as src/costs counts them.
  double ForwardOperations(double pictures) const;
  double FirstProductOperations(double pictures) const;
};

}  // namespace mobilevlm::train
