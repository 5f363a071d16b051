// The entry point of inferkit_tests; every tests/cpp/<room>/<file>_test.cpp is linked in.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
