# Compiles every CUDA source that exists, so that none rots on a machine without a GPU.
# Says why when there is nothing to do.
function(inferkit_check_cuda)
  if(NOT INFERKIT_CUDA)
    message(STATUS "inferkit: CUDA check off (INFERKIT_CUDA=OFF)")
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/device/*.cu")
  if(NOT sources)
    message(STATUS "inferkit: CUDA check skipped: csrc/device holds no .cu file")
    return()
  endif()
  find_program(INFERKIT_NVCC nvcc HINTS ENV CUDA_HOME PATH_SUFFIXES bin)
  if(NOT INFERKIT_NVCC)
    message(STATUS "inferkit: CUDA check skipped: nvcc not found")
    return()
  endif()
  set(objects "")
  foreach(source IN LISTS sources)
    get_filename_component(name "${source}" NAME_WE)
    set(object "${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.o")
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/cuda"
      COMMAND "${INFERKIT_NVCC}" -std=c++20 -O2 -Xcompiler=-fPIC,-Wall
              "-I${CMAKE_CURRENT_SOURCE_DIR}/csrc" -c "${source}" -o "${object}"
      DEPENDS "${source}"
      COMMENT "nvcc ${name}.cu"
      VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  add_custom_target(inferkit_cuda_check ALL DEPENDS ${objects})
endfunction()
