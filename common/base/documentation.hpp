// SPDX-License-Identifier: MIT
// Texts that stand in the code for ansible-doc alone.
#pragma once

#include <initializer_list>
#include <vector>

namespace pvegpu {

/// Whether this executable holds its modules' documentation. Each does but the one that travels, which is linked of the same objects:
/// its main() says that it does not, and optimised as a whole it keeps none of the texts.
[[gnu::const]] bool documented() noexcept;

class DocText {
 public:
  DocText() = default;
  DocText(const char* written) : text_(documented() ? written : "") {}

  bool given() const { return text_ != nullptr; }
  /// "" where the executable is not documented().
  const char* text() const { return text_ ? text_ : ""; }

 private:
  const char* text_ = nullptr;
};

class DocTexts {
 public:
  DocTexts(std::initializer_list<DocText> written) {
    if (documented()) texts_.assign(written);
  }

  auto begin() const { return texts_.begin(); }
  auto end() const { return texts_.end(); }

 private:
  std::vector<DocText> texts_;
};

}  // namespace pvegpu
