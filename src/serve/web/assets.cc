#include "serve/web/assets.h"

namespace mobilevlm::serve {

std::span<const Asset> Assets() {
  static constexpr Asset kAssets[] = {
      {"/", "text/html; charset=utf-8", "\"0\"",
       "<!doctype html><html lang=\"en\"><title>MobileVLM</title><p>The API is at /v1.</p></html>\n"}};
  return kAssets;
}

}  // namespace mobilevlm::serve
