# From reset to 64-bit mode with AVX-512 and tiles switched on; then `scan` for every case of the table at
# 16 MiB, and what it found in letters on port E9: for each case the number of matches, then their rows,
# columns and distances, as words of eight letters a to p (four bits each).
#
# Any fault is fatal: there is no interrupt table.

    .section .rom, "ax"
    .code16
rom:
    cli
    lgdtl   %cs:(table - rom)
    movl    $1, %eax                # protected mode
    movl    %eax, %cr0
    ljmpl   $8, $protected
    .code32
protected:
    movl    $16, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax              # memory starts with anything in it
    movl    $0x1000, %edi
    movl    $0x800, %ecx
    rep stosl
    movl    $0x2003, 0x1000         # pages of 1 GiB: the first, and the last below 4 GiB, where this ROM lies
    movl    $0x83, 0x2000
    movl    $0xC0000083, 0x2018
    movl    $0x1000, %eax
    movl    %eax, %cr3
    movl    $0x40620, %eax          # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
    movl    %eax, %cr4
    movl    $0xC0000080, %ecx
    rdmsr
    orl     $0x100, %eax            # long mode
    wrmsr
    movl    $0x80000003, %eax       # paging, coprocessor, protected mode
    movl    %eax, %cr0
    ljmpl   $24, $long_mode
    .code64
long_mode:
    movq    $0x1FFFF8, %rsp         # run is called with the stack as it must be, and calls so
    xorl    %ecx, %ecx
    xgetbv
    orl     $0x600E7, %eax          # x87, SSE, AVX, AVX-512, TILECFG (bit 17), TILEDATA (bit 18)
    xsetbv
    movq    $run, %rax
    call    *%rax
    movw    $0x8900, %dx            # Bochs takes this for its power switch
    leaq    goodbye(%rip), %rsi
    movl    $8, %ecx
1:  lodsb
    outb    %al, %dx
    loop    1b
    hlt
goodbye:
    .ascii  "Shutdown"
    .balign 8
gdt:
    .quad   0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00AF9A000000FFFF
table:
    .word   31
    .long   gdt
    .org    0xFFF0
    .code16
    jmp     rom
    .org    0x10000

    .text
    .code64
run:
    movq    $0x1000000, %rbx
    movq    (%rbx), %r12            # cases
    movb    $'<', %al
    outb    %al, $0xE9
1:  addq    $8, %rbx
    movq    (%rbx), %rbp            # what the case is
    movq    %rbp, %rdi
    call    scan
    movl    %eax, found
    movl    $1, %r14d
    movl    $found, %r15d
    call    print
    movslq  found, %r13
    testq   %r13, %r13
    jle     2f
    .irp    column, 22, 23, 24
    movq    %r13, %r14
    movq    8*\column(%rbp), %r15
    call    print
    .endr
2:  decq    %r12
    jnz     1b
    movb    $'>', %al
    outb    %al, $0xE9
    ret

print:                              # r14 words from r15 on
    movl    (%r15), %edx
    movl    $8, %ecx
1:  roll    $4, %edx
    movl    %edx, %eax
    andl    $15, %eax
    addl    $'a', %eax
    outb    %al, $0xE9
    loop    1b
    addq    $4, %r15
    decq    %r14
    jnz     print
    ret

# What compiled code asks of Numba's run time: memory that is never given back.
    .globl  NRT_MemInfo_alloc_aligned, NRT_MemInfo_call_dtor, memset
NRT_MemInfo_alloc_aligned:          # (size, alignment)
    movq    heap, %rax
    leaq    128(%rax,%rdi), %rcx
    addq    $63, %rcx
    andq    $-64, %rcx
    movq    %rcx, heap
    leaq    64(%rax), %rcx
    movq    $1, (%rax)              # references
    movq    $0, 8(%rax)             # destructor, and its argument
    movq    $0, 16(%rax)
    movq    %rcx, 24(%rax)          # the memory
    movq    %rdi, 32(%rax)
    ret
NRT_MemInfo_call_dtor:
    ret
memset:
    movq    %rdi, %r8
    movl    %esi, %eax
    movq    %rdx, %rcx
    rep stosb
    movq    %r8, %rax
    ret

    .data
    .balign 8
found:  .long 0, 0
heap:   .quad 0x800000
