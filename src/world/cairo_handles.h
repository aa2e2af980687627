// Cairo's objects, freed when nobody holds them any more.
#pragma once

#include <cairo.h>

#include <memory>

namespace mobilevlm::world {

struct SurfaceDeleter {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};
struct ContextDeleter {
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};
using Surface = std::unique_ptr<cairo_surface_t, SurfaceDeleter>;
using Context2d = std::unique_ptr<cairo_t, ContextDeleter>;

}  // namespace mobilevlm::world
