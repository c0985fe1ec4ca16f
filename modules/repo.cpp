// SPDX-License-Identifier: MIT
// The APT sources of a Proxmox VE host: channel, mirrors, Ceph; enterprise off unless subscribed.
#include "common/apt/source_set.hpp"
#include "common/apt/update_output.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"

#include <algorithm>
#include <utility>

namespace pvegpu {
namespace {

enum class Channel { keep, no_subscription, enterprise, test };
enum class Ceph { keep, none, octopus, pacific, quincy, reef, squid, tentacle };

struct Params {
  Channel channel = Channel::keep;
  bool keep_enterprise = false;
  Ceph ceph = Ceph::keep;
  std::optional<std::string> proxmox_mirror, debian_mirror, debian_security_mirror;
  State state = State::present;
};

}  // namespace

template <>
struct EnumNames<Channel> {
  static constexpr std::pair<Channel, const char*> values[] = {
      {Channel::keep, "keep"}, {Channel::no_subscription, "no-subscription"}, {Channel::enterprise, "enterprise"}, {Channel::test, "test"}};
};
template <>
struct EnumNames<Ceph> {
  static constexpr std::pair<Ceph, const char*> values[] = {
      {Ceph::keep, "keep"},     {Ceph::none, "none"}, {Ceph::octopus, "octopus"}, {Ceph::pacific, "pacific"},
      {Ceph::quincy, "quincy"}, {Ceph::reef, "reef"}, {Ceph::squid, "squid"},     {Ceph::tentacle, "tentacle"}};
};

namespace {

using apt::Archive;
using Offer = apt::Channel;

struct Answer {
  std::string release;
  std::string channel;
  std::optional<std::vector<apt::ListedSource>> sources;

  static void fields(Reply<Answer>& out) {
    out.field("release", &Answer::release,
              {.doc = "The Debian release that the host runs.", .sample = "bookworm", .when = "when O(state=present)"});
    out.field("channel", &Answer::channel,
              {.doc = "The newest channel of Proxmox VE that an active source offers, V(none) without any.",
               .sample = "no-subscription",
               .when = "when O(state=present)"});
    out.field("sources", &Answer::sources,
              {.doc = "The active sources of Proxmox and Debian, as they are after the task succeeded.", .when = "when O(state=present)"});
  }
};

ModuleDoc doc() {
  return {
      .name = "repo",
      .summary = "APT sources of a Proxmox VE host",
      .description =
          {"Sets the channel of Proxmox VE, the release of Ceph, and the mirrors of Proxmox and Debian, for the release of the host. New "
           "sources are one-line files on Proxmox VE 7 and 8 and deb822 on 9; those that are there keep their form.",
           "Sources that already say what is wished are accepted wherever they are. Others are switched on or off, or get another URI, in "
           "place: comments, order, options and sources of third parties stay as they are. Nothing is deleted.",
           "Succeeds only if the wished channels are really offered: APT must have their packages, as C(apt-cache policy) tells. Runs "
           "C(apt-get update) after a change, and where APT has no packages of a wished channel yet. If a source that was changed can't be "
           "read, or APT offers no wished channel then, the old files are put back and the task fails, naming the source, file and line, "
           "and the reason. Other sources that can't be read are named in a warning.",
           "What is wrong with sources of Proxmox by their text is named before the first effect: two of one URI and suite that differ in "
           "C(Signed-By) or C(Trusted), so that APT reads nothing at all, keyrings that are missing, paths that are there twice, suites "
           "and components that Proxmox does not have. A mirror may have a path or components of its own: then APT's word counts."},
      .examples = R"(
- name: Packages without a subscription
  pve.gpu.repo:
    channel: no-subscription

- name: Everything from a mirror in the house, Ceph Squid included
  pve.gpu.repo:
    channel: no-subscription
    ceph: squid
    proxmox_mirror: https://mirror.example.org/proxmox/debian
    debian_mirror: https://mirror.example.org/debian
    debian_security_mirror: https://mirror.example.org/debian-security

- name: Debian 11 below Proxmox VE 7 moved to the archive
  pve.gpu.repo:
    debian_mirror: http://archive.debian.org/debian
    debian_security_mirror: http://archive.debian.org/debian-security

- name: Take it all back
  pve.gpu.repo:
    state: absent
)",
      .answer = answer_of<Answer>,
      .notes = {"A Release file that has expired, as in archives, is refused by APT unless the source carries the option "
                "C(check-valid-until=no) (deb822: C(Check-Valid-Until: no)). The module keeps it where it is set.",
                "Passwords for a mirror belong into C(/etc/apt/auth.conf.d)."},
  };
}

Spec<Params> spec() {
  return Spec<Params>{}
      .param(
          "channel", &Params::channel,
          {.doc = "The channel of Proxmox VE that must be active. Newer ones are switched off, and V(enterprise) unless it is the one or "
                  "O(keep_enterprise) is set. V(keep) leaves channels as they are."})
      .param("keep_enterprise", &Params::keep_enterprise,
             {.doc = "The host has a subscription: its enterprise sources stay active beside another O(channel)."})
      .param("ceph", &Params::ceph,
             {.doc = "The release of Ceph that must have an active source, in the same channel. V(none) switches Proxmox's sources of Ceph "
                     "off, V(keep) leaves their release as it is. Proxmox VE 7 has V(octopus), V(pacific) and V(quincy), 8 has V(quincy), "
                     "V(reef) and V(squid), 9 has V(squid) and V(tentacle)."})
      .param("proxmox_mirror", &Params::proxmox_mirror,
             {.doc = "URL of the folder that holds C(pve) and C(ceph-...), in place of C(http://download.proxmox.com/debian). "
                     "Enterprise sources keep theirs.",
              .url = true})
      .param("debian_mirror", &Params::debian_mirror,
             {.doc = "URL of Debian's archive, for all its suites but security updates.", .url = true})
      .param("debian_security_mirror", &Params::debian_security_mirror,
             {.doc = "URL of Debian's archive of security updates.", .url = true})
      .param("state", &Params::state, {.doc = "V(absent) takes back what this module changed."});
}

/// Throws for URLs that no source can have, and Ceph releases that this one is not offered with.
void check(const Params& p, const apt::Release& release) {
  const std::pair<const char*, const std::optional<std::string>*> urls[] = {
      {"proxmox_mirror", &p.proxmox_mirror}, {"debian_mirror", &p.debian_mirror}, {"debian_security_mirror", &p.debian_security_mirror}};
  for (const auto& [name, url] : urls)
    if (const std::string fault = *url ? apt::fault_of_url(**url) : ""; !fault.empty())
      throw ModuleError(fmt::format("{} {}: give a URL like http://mirror.example.org/debian", name, fault));
  const std::string ceph = params::Type<Ceph>::print(p.ceph).get<std::string>();
  if (p.ceph != Ceph::keep && p.ceph != Ceph::none && std::find(release.ceph.begin(), release.ceph.end(), ceph) == release.ceph.end())
    throw ModuleError(fmt::format("Ceph {} is not offered for Proxmox VE {} ({}): choose one of {}", ceph, release.pve, release.codename,
                                  fmt::join(release.ceph, ", ")));
}

/// The channels that must be offered at the end.
std::vector<apt::WishedChannel> set_channels(const Params& p, const apt::Release& release, apt::SourceSet& sources) {
  std::vector<apt::WishedChannel> wished;
  const bool choose = p.channel != Channel::keep;
  const Offer wish = p.channel == Channel::enterprise ? Offer::enterprise
                     : p.channel == Channel::test     ? Offer::test
                                                      : Offer::no_subscription;
  const auto unwanted = [&](Offer offer, Offer instead) {
    return choose && (offer > instead || (offer == Offer::enterprise && offer != instead && !p.keep_enterprise));
  };
  if (choose) wished.push_back({Archive::proxmox, wish});
  sources.switch_off(Archive::proxmox, [&](const auto&, Offer offer) { return unwanted(offer, wish); });

  const bool named = p.ceph != Ceph::keep && p.ceph != Ceph::none;
  const std::string ceph = params::Type<Ceph>::print(p.ceph).get<std::string>();
  Offer ceph_wish = choose ? wish : sources.newest(Archive::proxmox).value_or(Offer::enterprise);
  // Proxmox VE 7 has Ceph for all in one place.
  if (release.pve == 7) ceph_wish = std::max(ceph_wish, Offer::no_subscription);
  if (named) wished.push_back({Archive::ceph, ceph_wish, ceph});
  for (const apt::WishedChannel& each : wished) sources.require(each);
  sources.switch_off(Archive::ceph, [&](const text::AptSource& source, Offer offer) {
    if (p.ceph == Ceph::none || (named && apt::ceph_of(source) != ceph)) return true;
    // Without a wish for Ceph only what asks for a subscription is in the way.
    return unwanted(offer, ceph_wish) && (named || offer == Offer::enterprise);
  });
  return wished;
}

/// Where no file changes: APT has lists of every wished channel, or gets them now.
void prove(const std::vector<apt::Wish>& wishes, const apt::SourceSet& sources, Plan& plan) {
  const apt::Policy& policy = sources.policy();
  bool proven = true;
  for (const apt::Wish& wish : wishes) {
    if (!policy.unknown().empty()) {
      plan.warn(fmt::format("whether {} is offered can't be proven: {}", wish.channel, policy.unknown()));
    } else if (!policy.refusal().empty()) {
      plan.refuse(policy.lacks(wish));
    } else if (const apt::PackageFile* file = policy.offers(wish); !file) {
      proven = false;
    } else if (file->priority < 0) {
      plan.warn(fmt::format("{} has the priority {} in APT's preferences, so that nothing is installed from it: see /etc/apt/preferences.d",
                            wish.channel, file->priority));
    }
  }
  if (!proven) plan.trigger("package lists", {follow_up_apt_update(apt::UpdateDuty{{}, wishes}.to_json())});
}

void withdraw(Plan& plan, const HostView& host) {
  std::vector<std::string> paths = plan.recorded_files();
  for (const char* ours : {"/etc/apt/sources.list.d/pve-gpu.list", "/etc/apt/sources.list.d/pve-gpu.sources"})
    if (host.exists(ours) && std::find(paths.begin(), paths.end(), ours) == paths.end()) paths.emplace_back(ours);
  for (const std::string& path : paths) {
    const auto undo = plan.undo_view(path);
    const auto before = undo && undo->existed ? std::optional<std::string>(undo->before) : std::nullopt;
    const auto format = apt::format_of(path);
    const bool login = apt::has_login({format, before.value_or("")}) || apt::has_login({format, host.read_file(path).value_or("")});
    plan.withdraw(path, [=](const std::string& now) { return apt::without_our_edits(format, before, now); },
                  {.then = {follow_up_apt_update({})}, .sensitive = login});
  }
}

void plan(const Params& p, const HostView& host, Plan& plan) {
  if (p.state == State::absent) return withdraw(plan, host);
  const apt::Release& release = apt::release_of(host);
  check(p, release);
  apt::SourceSet sources(host, release, {p.proxmox_mirror, p.debian_mirror, p.debian_security_mirror});
  if (const auto obstacle = sources.obstacle()) {
    plan.refuse(*obstacle);
    return;
  }
  const auto ask = [&]() -> const auto& { return sources.policy(); };
  const std::vector<std::string> faults_before = apt::faults(sources.active(), release, host, ask);
  const auto wished = set_channels(p, release, sources);
  sources.use_mirrors();

  const auto active = sources.active();
  if (const std::string why = apt::contradiction(active, release); !why.empty()) plan.refuse(why);
  apt::UpdateDuty duty{sources.changed(), {}};
  for (const apt::WishedChannel& each : wished) {
    const apt::Offer offer = apt::offer_of(each, active, release, host);
    if (!offer.ruled_out.empty()) plan.refuse(offer.ruled_out);
    duty.wishes.push_back(offer.wish);
  }
  std::vector<std::string> mended;
  const std::vector<std::string> faults = apt::faults(active, release, host, ask);
  for (const std::string& fault : faults_before)
    if (std::find(faults.begin(), faults.end(), fault) == faults.end()) mended.push_back(fault);
  for (const std::string& fault : faults)
    if (!plan.refusal() || plan.refusal()->find(fault) == std::string::npos) plan.warn(fault);
  for (const apt::SourceFile& file : sources.files())
    if (file.before != file.sources.bytes())
      plan.ensure_file(file.path, file.sources.bytes(),
                       {.then = {follow_up_apt_update(duty.to_json())},
                        .sensitive = apt::has_login(file.sources),
                        .warnings = std::exchange(mended, {})});
  if (plan.empty() && !plan.refusal() && !duty.wishes.empty()) prove(duty.wishes, sources, plan);
  const auto channel = sources.newest(Archive::proxmox);
  plan.report(Answer{release.codename, channel ? apt::name_of(*channel) : "none", sources.listed()});
}

}  // namespace

PVEGPU_MODULE(repo, Params, doc(), spec(), plan)

}  // namespace pvegpu
