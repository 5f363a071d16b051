// Ordinary memory of the host.
#pragma once

#include "memory/resource.h"

namespace inferkit {

// Anonymous mappings; those of 2 MiB and more ask for huge pages. Lives for ever.
[[nodiscard]] MemoryResource& host_resource() noexcept;

}  // namespace inferkit
