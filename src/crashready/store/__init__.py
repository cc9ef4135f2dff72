# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The history of a rack: hosts, what they looked like, and the crashes they had.

SQLite in one file by default, PostgreSQL by URL. `place` says where, `models` what is
kept, `migrations` how an older store becomes a newer one, `database` opens it, `history`
is what commands use. Nothing here is imported before a command needs the store:
SQLAlchemy is not part of the standard library, and `crashready triage FILE` has to work
without it.
"""
