// SPDX-License-Identifier: MIT
// APT's lists of sources, one-line (.list) and deb822 (.sources), as APT reads them (sources.list(5), apt-pkg/sourcelist.cc).
// Edits touch the words they are about; every other byte, comments, order, options and line ends included, stays as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

enum class AptFormat { one_line, deb822 };

/// A line of a .list file, commented out or not, or a stanza of a .sources file.
struct AptSource {
  std::size_t line = 0;  ///< where it begins, counted from 1
  bool enabled = true;
  std::vector<std::string> types, uris, suites, components;
  std::string signed_by = {};        ///< of its option Signed-By; empty: any trusted key
  std::optional<bool> trusted = {};  ///< of its option Trusted: packages count as verified, or never do; unset: by their signature
  bool amd64 = true;                 ///< by its options Architectures, -Add and -Remove
};

struct AptProblem {
  std::size_t line;
  std::string what;     ///< "has no suite"
  bool refused = true;  ///< by APT, which then reads no source at all; else it is this class that can't edit it
};

class AptSources {
 public:
  AptSources(AptFormat format, std::string bytes);

  AptFormat format() const { return format_; }
  const std::vector<AptSource>& all() const { return sources_; }
  /// The first thing because of which nothing may be edited.
  const std::optional<AptProblem>& problem() const { return problem_; }
  const std::string& bytes() const { return bytes_; }

  // Sources are named by their place in all(). Only append() and remove() change places.

  /// Off: a comment, or `Enabled: no`. Nothing is lost.
  void set_enabled(std::size_t source, bool enabled);
  /// All URIs become this one.
  void set_uri(std::size_t source, const std::string& uri);
  void rename_component(std::size_t source, const std::string& from, const std::string& to);
  /// A source needs one that remains: see set_enabled().
  void remove_component(std::size_t source, const std::string& name);
  /// At the end. A one-line source has one type, URI and suite.
  void append(const AptSource& source);
  void remove(std::size_t source);

 private:
  struct Span {
    std::size_t begin = 0, end = 0;
  };
  struct Place {
    Span whole;                   ///< its line or stanza, with the last newline
    Span comment;                 ///< one-line: the "# " that switches it off
    std::optional<Span> enabled;  ///< deb822: the value of Enabled
    std::size_t fields_end = 0;   ///< deb822: after the last field's line
    std::vector<Span> uris, components;
  };

  void parse();
  void parse_line(Span line, std::size_t number);
  void parse_stanza(const std::vector<Span>& lines, std::size_t number);
  void found_problem(std::size_t line, std::string what, bool refused = true);
  std::string word(Span span) const { return bytes_.substr(span.begin, span.end - span.begin); }
  void replace(Span span, const std::string& with);
  void erase_word(Span span);
  const char* newline() const;

  AptFormat format_;
  std::string bytes_;
  std::vector<AptSource> sources_;
  std::vector<Place> places_;
  std::optional<AptProblem> problem_;
};

}  // namespace pvegpu::text
