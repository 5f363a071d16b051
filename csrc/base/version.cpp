#include "base/version.h"

#ifndef INFERKIT_VERSION
#error "CMakeLists.txt defines INFERKIT_VERSION for this file, from python/inferkit/_version.py"
#endif

namespace inferkit {

std::string_view version() noexcept { return INFERKIT_VERSION; }

}  // namespace inferkit
