// A machine's /proc and /sys, as far as control groups go.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace inferkit::testing {

// Owns: the folder.
class Machine {
 public:
  explicit Machine(std::string_view groups) {
    const auto pattern = std::filesystem::temp_directory_path() / "inferkit-machine-XXXXXX";
    std::string name = pattern.string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    root_ = name;
    put("/proc/self/cgroup", groups);
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void put(const std::string& path, std::string_view contents) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << contents;
  }
  [[nodiscard]] const std::string& root() const noexcept { return root_; }

 private:
  std::string root_;
};

}  // namespace inferkit::testing
