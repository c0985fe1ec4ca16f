#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes go up the list of CONTRIBUTING.md's section Architecture only, and every folder of common/ is on it. What tells the state of a card is
included by its reader and its judge alone. Prints what is wrong; exit 1 if anything is."""
import os
import re
import sys

os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
section = open('CONTRIBUTING.md', encoding='utf-8').read().split('## Architecture')[1].split('\n## ')[0]
order = re.findall(r'^    (common/\w+|modules) ', section, re.M)
rank = {folder: number for number, folder in enumerate(order)}
wrong = [f'{name}: a folder that the section Architecture of CONTRIBUTING.md does not name'
         for name in sorted('common/' + folder for folder in os.listdir('common') if os.path.isdir('common/' + folder)) if name not in rank]
# A card's state: read in facts, judged in readiness, so that nobody else decides what a GPU lacks. The driver's installation looks at its own module.
judged = {'card_state': (), 'nvidia_state': ('common/driver/nvidia.cpp',), 'kernel_log': ()}
for folder in order:
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if not name.endswith(('.cpp', '.hpp')) or f'{folder}/{name}' == 'common/core/main.cpp':
            continue
        with open(f'{folder}/{name}', encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                included = re.match(r'#include "((?:common/\w+)|modules)/', line)
                if included and rank.get(included[1], len(order)) > rank[folder]:
                    wrong.append(f'{folder}/{name}:{number}: includes {included[1]}, which is below {folder}')
                state = re.match(r'#include "common/facts/(\w+)[.]hpp"', line)
                if state and state[1] in judged and folder not in ('common/facts', 'common/readiness') and f'{folder}/{name}' not in judged[state[1]]:
                    wrong.append(f'{folder}/{name}:{number}: includes {state[1]}.hpp: what a card lacks is judged in common/readiness')
    if not os.path.isdir(folder):
        wrong.append(f'CONTRIBUTING.md: there is no folder {folder}')
print('\n'.join(wrong), end='\n' if wrong else '')
sys.exit(1 if wrong else 0)
