# The fixed warning set of our own code; headers of others come in as system headers.
add_library(inferkit_warnings INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(inferkit_warnings INTERFACE -Wall -Wextra -Wconversion)
  if(INFERKIT_WERROR)
    target_compile_options(inferkit_warnings INTERFACE -Werror)
  endif()
endif()
