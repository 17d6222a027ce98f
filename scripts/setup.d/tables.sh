# SPDX-License-Identifier: Apache-2.0
# What scripts/setup installs, fetches and builds, as tables. A new architecture is a new column here.
# shellcheck shell=bash disable=SC2034

SUITE=trixie                  # Debian suite of the sources and of the guests' kernels

ALL_ARCHES="aarch64 riscv64 x86_64 host"

# ---- Debian packages of this machine ----------------------------------------------------------
# package[|else-this-package]:what must then be there (a command on PATH, or a path with wildcards).

declare -A PACKAGES=(
    [base]="gcc:gcc libc6-dev:/usr/include/stdlib.h make:make python3:python3 mtools:mcopy
            dosfstools:mkfs.fat debian-archive-keyring:/usr/share/keyrings/debian-archive-keyring.gpg"
    [aarch64]="qemu-system-arm:qemu-system-aarch64"
    [riscv64]="qemu-system-riscv|qemu-system-misc:qemu-system-riscv64 opensbi:/usr/lib/riscv64-linux-gnu/opensbi"
    [x86_64]="qemu-system-x86:qemu-system-x86_64 bochs:bochs bochsbios:/usr/share/bochs/BIOS-bochs-latest
              vgabios:/usr/share/vgabios/vgabios.bin
              grub-pc-bin:/usr/lib/grub/i386-pc grub-common:grub-mkrescue xorriso:xorriso"
    [host]=""
    [tests]="libcmocka-dev:/usr/include/cmocka.h python3-pytest:/usr/lib/python3/dist-packages/pytest
             python3-pexpect:/usr/lib/python3/dist-packages/pexpect libcapstone-dev:/usr/include/capstone/capstone.h
             device-tree-compiler:fdtput u-boot-qemu:/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin"
    [checks]="clang-format:clang-format cppcheck:cppcheck"
    [fuzz]="clang:clang libclang-rt-dev:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a"
)

# ---- Compilers --------------------------------------------------------------------------------

# Prefixes tried in this order, and the package of the last one.
declare -A CC_PREFIXES=(
    [aarch64]="aarch64-none-elf- aarch64-linux-gnu-"
    [riscv64]="riscv64-unknown-elf- riscv64-linux-gnu-"
    [x86_64]="x86_64-elf- x86_64-linux-gnu-"
    [host]=""
)
declare -A CC_PACKAGE=(
    [aarch64]=gcc-aarch64-linux-gnu
    [riscv64]=gcc-riscv64-linux-gnu
    [x86_64]=gcc-x86-64-linux-gnu
    [host]=gcc
)

# No library may touch a floating point or vector register: the guests' live in them.
TARGET_CFLAGS="-std=gnu2x -Os -g -ffreestanding -ffunction-sections -fdata-sections -fno-pic -fno-common
    -fno-omit-frame-pointer -fstack-protector-strong -mstack-protector-guard=global"
declare -A ARCH_CFLAGS=(
    [aarch64]="$TARGET_CFLAGS -mgeneral-regs-only -mno-outline-atomics -mbranch-protection=bti -mstrict-align"
    [riscv64]="$TARGET_CFLAGS -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany"
    [x86_64]="$TARGET_CFLAGS -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fcf-protection=none"
    [host]="-std=gnu2x -O2 -g"
)

# ---- Sources ----------------------------------------------------------------------------------
# name -> kind, package, files wanted, variable that takes an unpacked folder instead.
# Kind "orig" is the upstream tar ball of a Debian source package, "deb" a binary package.

declare -A SOURCES=(
    [picolibc]="orig picolibc */newlib/lib[cm]/* PICOLIBC_DIR"
    [libfdt]="orig device-tree-compiler */libfdt/* LIBFDT_DIR"
    [zlib]="orig zlib */*.[ch] ZLIB_DIR"
    [fatfs]="deb tinyusb-source */lib/fatfs/source/* FATFS_DIR"
)
declare -A LIBRARIES=(
    [aarch64]="picolibc libfdt fatfs zlib"
    [riscv64]="picolibc libfdt fatfs zlib"
    [x86_64]="picolibc libfdt fatfs zlib"
    [host]="libfdt fatfs zlib"
)
SOURCE_DEB_ARCH=arm64         # the private apt root that knows the sources and Architecture: all

# ---- The Debian guest -------------------------------------------------------------------------

declare -A DEB_ARCH=([aarch64]=arm64 [riscv64]=riscv64 [x86_64]=amd64)

# Metapackage of the kernel, and the kernel's file in boot/ (for arm64 and riscv64 a plain Image).
declare -A KERNEL_PACKAGE=(
    [aarch64]=linux-image-cloud-arm64
    [riscv64]=linux-image-riscv64
    [x86_64]=linux-image-cloud-amd64
)
declare -A KERNEL_FLAVOUR=([aarch64]=cloud-arm64 [riscv64]=riscv64 [x86_64]=cloud-amd64)
declare -A KERNEL_FILE=([aarch64]=vmlinuz [riscv64]=vmlinux [x86_64]=vmlinuz)

# Loaded by guests/debian/init in this order. Those a kernel has built in are left out.
GUEST_MODULES="virtio_mmio virtio_blk failover net_failover virtio_net virtio-rng
    vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport
    nls_cp437 nls_ascii nls_utf8 fat vfat arm_smccc_trng"
