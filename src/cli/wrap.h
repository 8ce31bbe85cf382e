/* wrap.h: text for people, broken at the width of their terminal; in a pipe each piece stays on its line. */
#ifndef CAMBIUM_CLI_WRAP_H
#define CAMBIUM_CLI_WRAP_H

/* Columns of standard output: COLUMNS where it is set, else the terminal's; 0: no terminal, nothing is broken. */
int cb_wrap_width(void);
/* Prints `text` and a newline. The cursor stands at `column`; lines that follow are indented by `indent`. Breaks at spaces;
 * newlines in the text stay. */
void cb_wrap_print(const char *text, int column, int indent);

#endif
