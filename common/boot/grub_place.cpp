// SPDX-License-Identifier: MIT
// GRUB's defaults: a drop-in of our own, and words of others taken out of their files. What it all comes to is asked of the shell that
// reads these files, with the files as they will be, and then read as GRUB and the kernel do.
#include "common/boot/places.hpp"
#include "common/text/grub_defaults.hpp"
#include "common/text/grub_script.hpp"
#include "common/text/kernel_parameters.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <map>

namespace pvegpu::boot {
namespace {

using Overrides = std::map<std::string, std::string>;  ///< path -> what the file will be; empty: as if it were not there

/// The line of a menu that starts a kernel: not a recovery entry.
bool starts_kernel(const std::string& line) {
  const auto words = text::words(line);
  if (words.size() < 2 || !words[0].starts_with("linux")) return false;
  return std::find(words.begin(), words.end(), "single") == words.end() && std::find(words.begin(), words.end(), "recovery") == words.end();
}

/// The first such line of 10_linux's part, or of the whole where nobody made parts.
std::optional<std::string> menu_line(const std::string& menu) {
  const auto part = menu.find("### BEGIN /etc/grub.d/10_linux ###");
  for (const std::string& line : text::lines(std::string_view(menu).substr(part == menu.npos ? 0 : part)))
    if (starts_kernel(line)) return text::trim(line);
  return std::nullopt;
}

class GrubPlace {
 public:
  explicit GrubPlace(Job& job)
      : job_(job), host_(job.host), plan_(job.plan), wish_(job.wish), dropin_(job.dropin()), paths_(grub_default_files(job.host)) {
    if (std::find(paths_.begin(), paths_.end(), dropin_) == paths_.end()) paths_.push_back(dropin_);
    std::sort(paths_.begin() + 1, paths_.end());
  }

  void run() {
    for (const KernelParameter& p : wish_.present)
      if (const std::string why = text::not_for_grub(p); !why.empty())
        return (void)plan_.refuse(fmt::format("'{}' can't be given to the kernel by GRUB: it has {}", p.print(), why));
    const auto now = host_.read_file(dropin_);
    if (!now && !now.error().not_found()) throw ModuleError(now.error().message);
    const text::GrubDropin dropin = text::parse_grub_dropin(now.value_or(""));
    const std::string others_text = source({{dropin_, dropin.foreign}}).back();
    const Parameters others = text::parse_grub_words(others_text);

    const text::ParameterEdit edit = without_unwanted(others, wish_);
    for (const KernelParameter& p : others)
      if (edit(p) != p) locate(p);
    const Parameters theirs = edited(others, edit);
    keep_foreign(job_, theirs, grub_defaults);

    Parameters ours;
    const Parameters leave = leaving(dropin.parameters, wish_);
    for (const KernelParameter& p : dropin.parameters)
      if (!holds(leave, p) && !text::in_force(theirs, p)) ours.push_back(p);
    ours = edited(ours, without_unwanted(ours, {wish_.module, wish_.present, {}, wish_.forbidden, Conflicts::refuse}));
    Parameters all = theirs;
    all.insert(all.end(), ours.begin(), ours.end());
    for (const KernelParameter& p : lacking(all, wish_)) ours.push_back(p);

    const std::size_t steps = plan_.steps().size();
    Overrides result = edit_others(edit, ours.empty());
    result[dropin_] = ours.empty() ? dropin.foreign : text::print_grub_dropin(ours, wish_.module, now.value_or(""));
    write_dropin(ours, result[dropin_]);
    if (!text::trim(dropin.foreign).empty())
      plan_.warn(fmt::format("others wrote into {}, which is a file of this module; their lines stay", dropin_));

    const std::vector<std::string> values = source(result);
    job_.next = text::parse_grub_words(values.back());
    judge(values, others, others_text, plan_.steps().size() > steps);
    if (plan_.empty() && !plan_.puts_off_next_boot_work() && whole(values.back())) check_menu();
  }

 private:
  std::vector<FollowUp> work() const {
    std::vector<FollowUp> out = {follow_up_grub()};
    // On its partitions GRUB reads what the tool copied there, not /boot/grub.
    if (job_.facts.proxmox_boot_tool) out.push_back(follow_up_boot_refresh());
    return out;
  }

  /// What stands behind `ro` in the menu after each file, in GRUB's language.
  std::vector<std::string> source(const Overrides& overrides) const {
    std::vector<Query::GrubFile> files;
    for (const std::string& path : paths_) {
      const auto content = overrides.find(path);
      files.push_back({path, content == overrides.end() ? std::nullopt : std::optional<std::string>(content->second)});
    }
    auto values = grub_values(host_, files);
    if (!values)
      throw ModuleError(fmt::format("{} or a file in {} can't be sourced, so update-grub fails too: {}; repair it first", grub_defaults,
                                    grub_dropins, values.error().message));
    return *std::move(values);
  }

  // --- files of others ------------------------------------------------------------------------------------------------------------
  /// Tells in which files a word is that has to go.
  void locate(const KernelParameter& theirs) {
    bool found = false;
    for (const std::string& path : paths_) {
      if (path == dropin_) continue;
      const unsigned line = text::grub_line_with(host_.read_file(path).value_or(""), theirs);
      if (line == 0) continue;
      found = true;
      note_conflict(job_, theirs, path, line);
    }
    if (found) return;
    note_conflict(job_, theirs, grub_defaults, 0);
    plan_.refuse(fmt::format("'{}' comes from {} or a file in {}, but not from a plain assignment there; take it out by hand",
                             theirs.print(), grub_defaults, grub_dropins));
  }

  /// Takes the unwanted out of them, or with `give_back` what this module changed in them back. One plan for each file: what comes back
  /// is without the unwanted too.
  Overrides edit_others(const text::ParameterEdit& now, bool give_back) {
    // Bytes that come back have words of their own.
    const auto edit = [now, wish = wish_, absent = job_.absent()](const std::string& bytes) {
      Parameters words;
      (void)text::edit_grub_parameters(bytes, [&](const KernelParameter& p) {
        words.push_back(p);
        return std::optional<KernelParameter>(p);
      });
      return text::edit_grub_parameters(bytes, absent ? without_unwanted(words, wish) : now);
    };
    const auto rest = [edit](const std::string& bytes) { return std::optional<std::string>(edit(bytes)); };
    Overrides out;
    const FileOptions options{.meta = {}, .then = work(), .sensitive = false, .warnings = {}, .old_bytes_too = true};
    const auto recorded = plan_.recorded_files();
    for (const std::string& path : paths_) {
      if (path == dropin_) continue;
      const auto bytes = host_.read_file(path);
      const auto undo = plan_.undo_view(path);
      const std::string edited = edit(bytes.value_or(""));
      const bool changes = bytes && edited != *bytes;
      if (job_.absent() && give_back && (undo || changes)) {
        plan_.withdraw(path, rest, options);
        out[path] = undo && undo->untouched ? edit(undo->before) : edited;
      } else if (changes) {
        plan_.ensure_file(path, edited, options);
        out[path] = edited;
      }
    }
    for (const std::string& path : recorded)  // of files that are gone
      if (job_.absent() && give_back && path.starts_with(grub_dropins) && std::find(paths_.begin(), paths_.end(), path) == paths_.end())
        plan_.withdraw(path, rest, options);
    return out;
  }

  // --- the drop-in ----------------------------------------------------------------------------------------------------------------
  void write_dropin(const Parameters& ours, const std::string& content) {
    if (!ours.empty()) return (void)plan_.ensure_file(dropin_, content, {.meta = {.mode = 0644, .uid = {}, .gid = {}}, .then = work()});
    plan_.withdraw(dropin_,
                   [](const std::string& bytes) {
                     const std::string foreign = text::parse_grub_dropin(bytes).foreign;
                     return text::trim(foreign).empty() ? std::nullopt : std::optional<std::string>(foreign);
                   },
                   {.meta = {}, .then = work()});
  }

  // --- what comes out -------------------------------------------------------------------------------------------------------------
  /// The first file after which `holds_up` does not hold any more.
  template <class Test>
  std::string culprit(const std::vector<std::string>& values, std::size_t from, Test holds_up) const {
    for (std::size_t i = from; i < values.size(); ++i)
      if (!holds_up(values[i])) return paths_[i];
    return grub_defaults;
  }

  std::string place(const std::string& path, unsigned (*line_of)(std::string_view)) const {
    const unsigned line = line_of(host_.read_file(path).value_or(""));
    return line > 0 ? fmt::format("{} line {}", path, line) : path;
  }

  void judge(const std::vector<std::string>& values, const Parameters& others, const std::string& others_text, bool changes) {
    const std::string& result = values.back();
    const text::GrubCommand command = text::parse_grub_command(result);
    if (!whole(result)) broken(values, command, changes);
    const std::size_t ours = static_cast<std::size_t>(std::find(paths_.begin(), paths_.end(), dropin_) - paths_.begin());
    const auto line = menu_line(host_.read_file(grub_menu).value_or(""));
    std::size_t own = sizeof "BOOT_IMAGE=/boot/vmlinuz-0.00.00-00-pve root=UUID=00000000-0000-0000-0000-000000000000 ro";
    if (const auto entry = text::parse_grub_command(line.value_or("")).arguments; entry.size() > 4)
      own = text::loader_cmdline({"BOOT_IMAGE=" + entry[1], entry[2], entry[3]}).size() + 1;
    const auto length = [&](const std::string& value) {
      return own + text::loader_cmdline(text::parse_grub_command(value).arguments).size();
    };
    const std::string against = objection({.before = others,
                                           .after = job_.next,
                                           .length = length(result),
                                           .longer = length(result) > length(others_text),
                                           .loader_adds_root = true},
                                          wish_, job_.facts);
    if (changes && !against.empty()) plan_.refuse(against);
    for (const KernelParameter& p : wish_.present) {
      if (text::in_force(job_.next, p)) continue;
      const auto has = [&](const std::string& value) { return text::in_force(text::parse_grub_words(value), p); };
      plan_.refuse(
          fmt::format("'{}' would not get into the menu: {} comes later and sets GRUB_CMDLINE_LINUX_DEFAULT anew; begin the value "
                      "there with $GRUB_CMDLINE_LINUX_DEFAULT and a blank",
                      p.print(), place(culprit(values, ours, has), text::grub_assignment_line)));
    }
  }

  /// GRUB reads a value to its end, on one line.
  static bool whole(const std::string& value) {
    const text::GrubCommand command = text::parse_grub_command(value);
    return !command.open && command.end == value.size() && value.find('\n') == value.npos;
  }

  /// The value ends before its end, or GRUB can't read it at all.
  void broken(const std::vector<std::string>& values, const text::GrubCommand& command, bool changes) {
    const std::string& result = values.back();
    // In a quote of GRUB's a line break does not end the command, but the kernel's word.
    const std::size_t end = std::min(command.end, result.find('\n'));
    const char at = end < result.size() ? result[end] : '\0';
    const std::string file = place(culprit(values, 0, whole), text::grub_broken_line);
    const std::string what = command.open && at != '\n' ? "a quote or backslash that GRUB finds nothing behind"
                             : at == '\n'               ? "a line break"
                                                        : fmt::format("the character {}", at);
    const bool readable = at == '\n' || (!command.open && (at == ';' || at == '#'));
    std::string told =
        fmt::format("{}: the value has {}, at which GRUB's menu line {}; {}", file, what,
                    readable ? fmt::format("ends: '{}' is lost", text::trim(result.substr(end))) : "can't be read, and update-grub fails",
                    at == '\n'     ? "write the value on one line"
                    : at == '$'    ? "write \\\\\\$ for it, of which the shell leaves \\$ to GRUB"
                    : command.open ? "take it out"
                                   : "write a backslash before it for GRUB");
    const bool lost =
        (at == '\n' && changes && !wish_.present.empty()) ||
        std::any_of(wish_.present.begin(), wish_.present.end(), [&](const KernelParameter& p) { return !text::in_force(job_.next, p); });
    lost || (changes && !readable) ? (void)plan_.refuse(std::move(told)) : (void)plan_.warn(std::move(told));
  }

  /// update-grub may have been lost, may have done nothing, or may have run before others changed their files.
  void check_menu() {
    const Parameters next = job_.next;
    Parameters gone;
    for (const Parameters* list : {&wish_.withdrawn, &wish_.forbidden})
      for (const KernelParameter& p : *list)
        if (text::saying(next, p).empty() && !holds(wish_.present, p)) gone.push_back(p);
    Parameters there;
    for (const KernelParameter& p : wish_.present)
      if (text::in_force(next, p)) there.push_back(p);
    const auto stale = [there, gone](const HostView& host) -> Result<std::optional<std::string>> {
      const auto line = menu_line(PVEGPU_TRY(host.read_file(grub_menu)));
      const Parameters have = text::parse_grub_words(line.value_or(""));
      for (const KernelParameter& p : there)
        if (line && !text::in_force(have, p)) return std::optional<std::string>("without " + p.print());
      for (const KernelParameter& p : gone)
        if (!text::saying(have, p).empty()) return std::optional<std::string>("with " + p.print());
      return std::optional<std::string>("as the defaults say");
    };
    if (!stale(host_)) return;
    Step step;
    step.target = fmt::format("entries of {}", grub_menu);
    step.desired = "as the defaults say";
    step.observe = stale;
    if (job_.facts.proxmox_boot_tool) step.then = {follow_up_boot_refresh()};
    plan_.ensure_program(std::move(step), {{{"update-grub"}}});
  }

  Job& job_;
  const HostView& host_;
  Plan& plan_;
  const CmdlineWish& wish_;
  const std::string dropin_;
  std::vector<std::string> paths_;  ///< in the order in which they are sourced; our drop-in is one though it may not be there
};

}  // namespace

void plan_grub(Job& job) { GrubPlace(job).run(); }

}  // namespace pvegpu::boot
