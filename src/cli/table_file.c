/* SPDX-License-Identifier: MIT
 * table_file.c - files that commands print (CSV, Markdown): into memory first, then to their place whole.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool cli_table_begin(cli *c, cli_table *t) {
    *t = (cli_table){0};
    t->to = open_memstream(&t->text, &t->size);
    if (!t->to) {
        c->err.code = CVS_E_MEMORY;
    }
    return t->to != NULL;
}

cvs_status cli_table_end(cli *c, cli_table *t, const char *path) {
    cvs_status s = fclose(t->to) != 0 ? (c->err.code = CVS_E_MEMORY) : CVS_OK;
    s = s == CVS_OK && path ? cvs_file_write(path, t->text, t->size, &c->err) : s;
    free(t->text);
    return s;
}

void cli_csv_cell(FILE *to, const char *text) {
    const char *quote = text[strcspn(text, ",\"\r\n")] ? "\"" : "";
    fputs(quote, to);
    for (; *text; text++) {
        fprintf(to, *text == '"' ? "\"\"" : "%c", *text);
    }
    fputs(quote, to);
}
