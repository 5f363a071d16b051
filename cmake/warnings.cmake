# The fixed warning set of our own code; headers of others come in as system headers.
add_library(inferkit_warnings INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(inferkit_warnings INTERFACE -Wall -Wextra -Wconversion)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 reports overlapping memcpy inside its own std::string concatenation (PR105651).
    target_compile_options(inferkit_warnings INTERFACE -Wno-restrict)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # An exchange that fails may ask for a stronger order than one that succeeds since C++17
    # (P0418); GCC still says that it may not, where it does not inline the call.
    target_compile_options(inferkit_warnings INTERFACE -Wno-invalid-memory-model)
  endif()
  if(INFERKIT_WERROR)
    target_compile_options(inferkit_warnings INTERFACE -Werror)
  endif()
endif()
