#!/bin/sh
# SPDX-License-Identifier: MIT
# What a kernel does to /sys of a described machine (kernel.cpp asks it): exit code 0 or an errno.
devices=/sys/bus/pci/devices

bind() { # ADDRESS DRIVER
  mkdir -p "/sys/bus/pci/drivers/$2"
  rm -f "$devices/$1/driver"
  ln -sr "/sys/bus/pci/drivers/$2" "$(readlink -f "$devices/$1")/driver"
  ln -srf "$(readlink -f "$devices/$1")" "/sys/bus/pci/drivers/$2/$1"
}

unbind() { # ADDRESS DRIVER
  [ -e "$devices/$1/driver" ] || exit 19
  rm -f "$devices/$1/driver" "/sys/bus/pci/drivers/$2/$1"
}

nvidia_cards() {
  for card in "$devices"/*; do
    [ "$(cat "$card/vendor")" != 0x10de ] || case $(cat "$card/class") in 0x03*) basename "$card" ;; esac
  done
}

case $1 in
  load)
    mkdir -p "/sys/module/$2"
    echo live >"/sys/module/$2/initstate"
    case $2 in
      nvidia)
        cp /run/case/version /sys/module/nvidia/version
        for card in $(nvidia_cards); do
          [ ! -e "$devices/$card/driver" ] || continue
          bind "$card" nvidia
          mkdir -p "/proc/driver/nvidia/gpus/$card"
          echo 'Model: NVIDIA' >"/proc/driver/nvidia/gpus/$card/information"
        done ;;
      vfio_pci) mkdir -p /sys/bus/pci/drivers/vfio-pci ;;
    esac ;;
  unload)
    [ "$2" != nvidia ] || [ ! -e /sys/module/nvidia_vgpu_vfio ] || exit 11
    rm -rf "/sys/module/$2"
    if [ "$2" = nvidia ]; then
      for card in $(nvidia_cards); do
        case $(readlink "$devices/$card/driver") in */nvidia) unbind "$card" nvidia ;; esac
      done
      rm -rf /sys/bus/pci/drivers/nvidia /proc/driver/nvidia
      rmdir /proc/driver 2>/dev/null || :
    fi ;;
  write)
    value=$(printf '%s' "$3") # without the line's end
    case $2 in
      */unbind) unbind "$value" "$(basename "$(dirname "$2")")"; : >"$2" ;;
      */bind) bind "$value" "$(basename "$(dirname "$2")")"; : >"$2" ;;
      */drivers_probe)
        : >"$2"
        driver=$(cat "$devices/$value/driver_override")
        [ "$driver" != '(null)' ] || driver=$(sed -n "s/^$value //p" /run/case/drivers)
        [ -z "$driver" ] || [ ! -d "/sys/bus/pci/drivers/$driver" ] || bind "$value" "$driver" ;;
      */driver_override) printf '%s\n' "${value:-(null)}" >"$2" ;;
      *) printf '%s\n' "$value" >"$2" ;;
    esac ;;
esac
exit 0
