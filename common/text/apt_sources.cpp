// SPDX-License-Identifier: MIT
// A file of sources stays one string; parsing notes where its words are, and every edit parses again.
#include "common/text/apt_sources.hpp"

#include "common/base/result.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <map>

namespace pvegpu::text {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

bool is_blank(char c) { return blanks.find(c) != blanks.npos; }

/// StringToBool of apt-pkg/contrib/strutl.cc: what is neither yes nor no counts as yes here.
bool means_no(std::string_view value) {
  static constexpr std::string_view no[] = {"no", "false", "without", "off", "disable", "0"};
  return std::find(std::begin(no), std::end(no), lower(value)) != std::end(no);
}
/// The same with no for what is neither, as APT reads Trusted.
bool means_yes(std::string_view value) {
  static constexpr std::string_view yes[] = {"yes", "true", "with", "on", "enable", "1"};
  return std::find(std::begin(yes), std::end(yes), lower(value)) != std::end(yes);
}

/// The options of a source that decide what APT makes of it, by their names in .list files; .sources files have others for some.
class Options {
 public:
  void set(std::string name, const std::string& value) {
    static constexpr std::pair<std::string_view, std::string_view> names[] = {
        {"architectures", "arch"}, {"architectures-add", "arch+"}, {"architectures-remove", "arch-"}};
    for (const auto& [long_name, short_name] : names)
      if (name == long_name) name = short_name;
    values_[name] = value;
  }
  void apply_to(AptSource& source) const {
    source.signed_by = value("signed-by");
    if (const std::string trusted = value("trusted"); !trusted.empty()) source.trusted = means_yes(trusted);
    source.amd64 = (value("arch").empty() || names_amd64("arch") || names_amd64("arch+")) && !names_amd64("arch-");
  }

 private:
  std::string value(const char* name) const {
    const auto it = values_.find(name);
    return it == values_.end() ? std::string() : it->second;
  }
  bool names_amd64(const char* name) const {
    std::string list = value(name);
    std::replace(list.begin(), list.end(), ',', ' ');
    const auto all = words(list);
    return std::find(all.begin(), all.end(), "amd64") != all.end();
  }

  std::map<std::string, std::string> values_;
};

bool absolute(const std::string& suite) { return suite.ends_with('/'); }

/// What APT would refuse about a source; empty when it takes it.
std::string fault_of(const AptSource& source) {
  if (source.types.empty()) return "has no type (deb or deb-src)";
  for (const std::string& type : source.types)
    if (type != "deb" && type != "deb-src") return fmt::format("begins with '{}' where deb or deb-src belongs", type);
  if (source.uris.empty()) return "has no URI";
  for (const std::string& uri : source.uris)
    if (!contains(uri, ":")) return fmt::format("has '{}' where a URI belongs", uri);
  if (source.suites.empty()) return "has no suite";
  for (const std::string& suite : source.suites)
    if (absolute(suite) != source.components.empty())
      return absolute(suite) ? fmt::format("has components beside the path '{}'", suite) : "has no component";
  return {};
}

}  // namespace

AptSources::AptSources(AptFormat format, std::string bytes) : format_(format), bytes_(std::move(bytes)) { parse(); }

void AptSources::parse() {
  sources_.clear();
  places_.clear();
  problem_.reset();
  std::vector<Span> stanza;
  std::size_t number = 0, first = 1;
  const auto end_stanza = [&] {
    if (!stanza.empty()) parse_stanza(stanza, first);
    stanza.clear();
  };
  for (std::size_t begin = 0; begin < bytes_.size();) {
    const Span line{begin, std::min(bytes_.find('\n', begin), bytes_.size() - 1) + 1};
    begin = line.end;
    ++number;
    if (format_ == AptFormat::one_line) {
      parse_line(line, number);
    } else if (const std::string text = word(line); text == "\n" || text == "\r\n" || text == "\r") {
      end_stanza();
    } else {
      if (stanza.empty()) first = number;
      stanza.push_back(line);
    }
  }
  end_stanza();
}

void AptSources::parse_line(Span line, std::size_t number) {
  AptSource source;
  Options options;
  Place place;
  source.line = number;
  place.whole = line;

  std::size_t end = line.end;
  if (end > line.begin && bytes_[end - 1] == '\n') --end;
  if (end > line.begin && bytes_[end - 1] == '\r') --end;
  std::size_t at = line.begin;
  const auto skip_blanks = [&] {
    while (at < end && is_blank(bytes_[at])) ++at;
  };
  skip_blanks();
  place.comment.begin = at;
  for (; at < end && (bytes_[at] == '#' || is_blank(bytes_[at])); ++at)
    if (bytes_[at] == '#') source.enabled = false;
  place.comment.end = at;
  // A comment begins at the first # that has as many closed brackets before it as opened ones.
  int depth = 0;
  for (std::size_t i = at; i < end; ++i) {
    if (bytes_[i] == '[') ++depth;
    if (bytes_[i] == ']') --depth;
    if (bytes_[i] == '#' && depth <= 0) end = i;
  }

  // A word ends at a blank that is not in brackets, "cdrom:[Debian 12]/"; within them APT sees no others (ParseQuoteWord of strutl.cc).
  // Where they do not pair, an edit would move the place where the comment begins.
  std::string odd;
  bool refused = false;
  const auto next_word = [&]() -> Span {
    skip_blanks();
    const std::size_t begin = at;
    for (; at < end && !is_blank(bytes_[at]); ++at) {
      if (bytes_[at] != '[') continue;
      const std::size_t open = at;
      at = std::min(bytes_.find(']', open), end);
      if (at == end) {
        odd = "has a '[' without its ']'";
        refused = refused || source.components.empty();
        return {begin, end};
      }
      if (bytes_.find('[', open + 1) < at) odd = "has a '[' between '[' and ']'";
      if (open == begin && !source.types.empty() && source.uris.empty()) {
        // The options: a blank may be missing after "[ a=b ]", not after "[a=b]".
        ++at;
        if (at < end && !is_blank(bytes_[at]) && !is_blank(bytes_[at - 2])) odd = "has no blank after its options", refused = true;
        return {begin, at};
      }
    }
    return {begin, at};
  };
  Span next = next_word();
  if (next.begin == next.end) return;  // empty, or nothing but a comment
  source.types.push_back(word(next));
  next = next_word();
  if (next.begin < next.end && bytes_[next.begin] == '[') {
    for (const std::string& option : words(word({next.begin + 1, std::max(next.begin + 1, next.end - 1)})))
      if (const auto equals = option.find('='); equals != option.npos)
        options.set(lower(option.substr(0, equals)), option.substr(equals + 1));
    next = next_word();
  }
  if (next.begin < next.end) {
    source.uris.push_back(word(next));
    place.uris.push_back(next);
  }
  if (next = next_word(); next.begin < next.end) source.suites.push_back(word(next));
  while (next = next_word(), next.begin < next.end) {
    source.components.push_back(word(next));
    place.components.push_back(next);
  }

  options.apply_to(source);
  const std::string fault = odd.empty() ? fault_of(source) : odd;
  if (!fault.empty()) {
    if (source.enabled) found_problem(number, fault, refused || odd.empty());
    return;  // an ordinary comment otherwise
  }
  sources_.push_back(std::move(source));
  places_.push_back(std::move(place));
}

void AptSources::parse_stanza(const std::vector<Span>& lines, std::size_t number) {
  AptSource source;
  Place place;
  source.line = number;
  place.whole = {lines.front().begin, lines.back().end};
  Options options;
  std::string field, value_of_field;
  bool any = false, typed = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto [begin, end] = lines[i];
    if (bytes_[begin] == '#') continue;
    if (!is_blank(bytes_[begin])) {
      const std::size_t colon = bytes_.find(':', begin);
      if (colon >= end) return found_problem(number + i, "is not a line like 'Field: value'");
      field = lower(trim(word({begin, colon})));
      begin = colon + 1;
      // Of a field that is there twice the last counts.
      if (field == "types") source.types.clear(), typed = true;
      if (field == "uris") source.uris.clear(), place.uris.clear();
      if (field == "suites") source.suites.clear();
      if (field == "components") source.components.clear(), place.components.clear();
      value_of_field.clear();
      if (field == "enabled") source.enabled = true, place.enabled.reset();
    }
    any = true;
    place.fields_end = end;
    for (std::size_t at = begin; at < end;) {
      while (at < end && (is_blank(bytes_[at]) || bytes_[at] == '\n')) ++at;
      const Span value{at, std::min(bytes_.find_first_of(" \t\r\v\f\n", at), end)};
      at = value.end;
      if (value.begin == value.end) continue;
      if (field == "types") source.types.push_back(word(value));
      if (field == "uris") source.uris.push_back(word(value)), place.uris.push_back(value);
      if (field == "suites") source.suites.push_back(word(value));
      if (field == "components") source.components.push_back(word(value)), place.components.push_back(value);
      value_of_field += (value_of_field.empty() ? "" : " ") + word(value);
      if (field == "enabled") source.enabled = !means_no(word(value)), place.enabled = value;
    }
    options.set(field, value_of_field);
  }
  if (!any) return;
  options.apply_to(source);
  const std::string fault = fault_of(source);
  // APT wants the types of a stanza that is switched off too.
  if (!fault.empty() && (source.enabled || !typed)) return found_problem(number, fault);
  if (!fault.empty()) return;
  sources_.push_back(std::move(source));
  places_.push_back(std::move(place));
}

void AptSources::found_problem(std::size_t line, std::string what, bool refused) {
  if (!problem_) problem_ = AptProblem{line, std::move(what), refused};
}

const char* AptSources::newline() const {
  const auto first = bytes_.find('\n');
  return first != bytes_.npos && first > 0 && bytes_[first - 1] == '\r' ? "\r\n" : "\n";
}

void AptSources::replace(Span span, const std::string& with) { bytes_.replace(span.begin, span.end - span.begin, with); }

void AptSources::erase_word(Span span) {
  const auto line_begin = span.begin == 0 ? 0 : bytes_.rfind('\n', span.begin - 1) + 1;
  const auto line_end = std::min(bytes_.find('\n', span.end), bytes_.size());
  const bool alone = trim(word({line_begin, line_end})) == word(span);
  if (alone) {
    // The continuation line of a field: what is left would be blanks.
    replace({line_begin, std::min(line_end + 1, bytes_.size())}, "");
  } else if (span.end < line_end && (bytes_[span.end] == ' ' || bytes_[span.end] == '\t')) {
    replace({span.begin, std::min(bytes_.find_first_not_of(" \t", span.end), line_end)}, "");
  } else {
    replace({bytes_.find_last_not_of(" \t", span.begin - 1) + 1, span.end}, "");
  }
}

void AptSources::set_enabled(std::size_t source, bool enabled) {
  const Place place = places_.at(source);
  if (sources_[source].enabled == enabled) return;
  if (format_ == AptFormat::one_line) {
    if (enabled)
      replace(place.comment, "");
    else
      bytes_.insert(place.comment.begin, "# ");
  } else if (place.enabled) {
    replace(*place.enabled, enabled ? "yes" : "no");
  } else {
    const bool complete = bytes_[place.fields_end - 1] == '\n';
    bytes_.insert(place.fields_end, fmt::format("{}Enabled: no{}", complete ? "" : newline(), newline()));
  }
  parse();
}

void AptSources::set_uri(std::size_t source, const std::string& uri) {
  const Place place = places_.at(source);
  for (std::size_t i = place.uris.size(); i-- > 1;) erase_word(place.uris[i]);
  replace(place.uris[0], uri);
  parse();
}

void AptSources::rename_component(std::size_t source, const std::string& from, const std::string& to) {
  const Place place = places_.at(source);
  for (std::size_t i = place.components.size(); i-- > 0;)
    if (word(place.components[i]) == from) replace(place.components[i], to);
  parse();
}

void AptSources::remove_component(std::size_t source, const std::string& name) {
  const Place place = places_.at(source);
  for (std::size_t i = place.components.size(); i-- > 0;)
    if (word(place.components[i]) == name) erase_word(place.components[i]);
  parse();
}

void AptSources::append(const AptSource& source) {
  const std::string end = newline();
  if (!bytes_.empty() && bytes_.back() != '\n') bytes_ += end;
  if (format_ == AptFormat::one_line) {
    const std::string options = source.signed_by.empty() ? "" : fmt::format("[signed-by={}] ", source.signed_by);
    bytes_ += fmt::format("deb {}{} {} {}{}", options, source.uris.at(0), source.suites.at(0), fmt::join(source.components, " "), end);
  } else {
    if (!bytes_.empty() && !bytes_.ends_with(end + end)) bytes_ += end;
    bytes_ += fmt::format("Types: {1}{0}URIs: {2}{0}Suites: {3}{0}Components: {4}{0}", end, fmt::join(source.types, " "),
                          fmt::join(source.uris, " "), fmt::join(source.suites, " "), fmt::join(source.components, " "));
    if (!source.signed_by.empty()) bytes_ += fmt::format("Signed-By: {}{}", source.signed_by, end);
  }
  parse();
}

void AptSources::remove(std::size_t source) {
  Span whole = places_.at(source).whole;
  // The empty line after a stanza goes with it.
  if (format_ == AptFormat::deb822) {
    if (bytes_.compare(whole.end, 1, "\n") == 0)
      whole.end += 1;
    else if (bytes_.compare(whole.end, 2, "\r\n") == 0)
      whole.end += 2;
  }
  replace(whole, "");
  parse();
}

}  // namespace pvegpu::text
