/* Whose sockets and folders a client believes. Pure. */
#ifndef BERTH_SOCKET_TRUST_H
#define BERTH_SOCKET_TRUST_H

#include <errno.h>
#include <stdint.h>

#define SOCKET_DISTRUSTED (-EKEYREJECTED) /* among results that are -errno: it is there, and not to be believed */

struct socket_trust {
    uint32_t own;  /* the host's effective user, as it was when it connected */
    uint32_t said; /* whom its caller trusts besides; 0: nobody */
    int searched;  /* found by the client's own search; else its caller named it */
};

/* Whether that user may own the socket, or listen there. */
int socket_trust_user(const struct socket_trust *trust, uint32_t uid);

enum folder_fault { FOLDER_NO_FAULT, FOLDER_OF_ANOTHER, FOLDER_OPEN_TO_ALL, FOLDER_OPEN_TO_A_GROUP };

/* By whom else entries could be made or replaced, in a folder of that mode (as stat has it) and owner. `above`: it
 * does not hold the socket, but a folder on the way to it that has been found without fault. Such a one a sticky
 * folder keeps for its owner, whoever may write there. */
enum folder_fault socket_trust_folder(const struct socket_trust *trust, uint32_t mode, uint32_t uid, int above);

#endif
