/* A stand-in for bcryptprimitives.dll, which Debian's Wine 8.0 lacks and Rust's standard library
 * takes its random numbers from. scripts/check-platforms puts it beside the Windows programs; on
 * Windows itself nobody needs it.
 *
 * Built with: x86_64-w64-mingw32-gcc -shared -o bcryptprimitives.dll bcryptprimitives.c -ladvapi32
 */
#include <windows.h>
#include <ntsecapi.h> /* RtlGenRandom, which advapi32 exports as SystemFunction036 */

/* Fills `length` bytes at `data`. */
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    while (length > 0) {
        ULONG part = length < 0x10000 ? (ULONG)length : 0x10000;
        if (!RtlGenRandom(data, part))
            return FALSE;
        data += part;
        length -= part;
    }
    return TRUE;
}
