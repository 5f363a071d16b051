# INFERKIT_SANITIZE applies to everything in the tree: a mixed build reports nonsense.
if(INFERKIT_SANITIZE)
  if(NOT INFERKIT_SANITIZE MATCHES "^(thread|address|undefined|address,undefined)$")
    message(FATAL_ERROR "INFERKIT_SANITIZE=${INFERKIT_SANITIZE}: "
                        "expected thread, address, undefined or address,undefined")
  endif()
  add_compile_options(-fsanitize=${INFERKIT_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${INFERKIT_SANITIZE})
  if(INFERKIT_SANITIZE STREQUAL "thread")
    # GCC warns that it cannot instrument std::atomic_thread_fence; that is worth an error.
    add_compile_options(-Wtsan)
  endif()
endif()
